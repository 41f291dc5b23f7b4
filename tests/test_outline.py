"""The network in words and as a table: every parameter and every layer once, experts that are alike together."""

import math
from collections import Counter

import pytest
from hypothesis import given

from spec import (
    PLE,
    CategoricalFeature,
    Huber,
    LogLoss,
    MMoE,
    Separate,
    SharedBottom,
    TaskSpec,
    parameter_shapes,
)
from spec.network import layers
from spec.outline import outline, sharing_words, task_words
from spec.params import shared_parameters
from tests.helpers.builders import model, task
from tests.helpers.strategies import model_specs, repeatable, several, sharings, tasks_with_losses


@given(model_specs(sharing=sharings, tasks=several(tasks_with_losses)))
@repeatable
def test_every_layer_and_every_parameter_is_in_one_row(network):
    rows = outline(network)
    assert Counter(name for row in rows for name in row.layers) == Counter(layer.name for layer in layers(network))
    assert sum(row.parameters for row in rows) == sum(math.prod(s) for s in parameter_shapes(network).values())
    assert len({row.name for row in rows}) == len(rows)


def test_the_rows_are_in_the_networks_order():
    city = CategoricalFeature(name="city", vocabulary=1000, dimension=2, trainable=False)
    network = model(categorical=(city,), tasks=(task(hidden=(3,)), task(name="b")), sharing=PLE(task_experts=1))
    assert [(row.name, row.shape, row.parameters) for row in outline(network)] == [
        ("embeddings.city", "1,000 × 2, frozen", 2000),
        ("levels.0.shared.0…1.0", "2 of 4 × 4", 40),
        ("levels.0.a.0.0", "4 × 4", 20),
        ("levels.0.b.0.0", "4 × 4", 20),
        ("levels.0.gates.a", "4 × 3", 12),
        ("levels.0.gates.b", "4 × 3", 12),
        ("tasks.a.0", "4 × 3", 15),
        ("tasks.a.1", "3 × 1", 4),
        ("tasks.b.0", "4 × 1", 5),
    ]


def test_a_row_says_if_training_moves_none_of_its_parameters_or_not_all():
    network = model(tasks=(task(), task(name="b")), sharing=MMoE(experts=2))
    shapes = {row.name: row.shape for row in outline(network, ("experts.0", "tasks.a", "tasks.b.*.bias", "gates.b"))}
    assert {name: shape.partition(", ")[2] for name, shape in shapes.items()} == {
        "experts.0…1.0": "partly frozen",
        "gates.a": "",
        "gates.b": "frozen",
        "tasks.a.0": "frozen",
        "tasks.b.0": "partly frozen",
    }


@pytest.mark.parametrize("name", ["norm", "kernel", "bias", "trunk", "experts", "gates"])
@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_a_task_or_a_table_may_be_called_as_a_part_of_a_network_is(name, normalization):
    table = CategoricalFeature(name=name, vocabulary=10, dimension=2)
    tasks = (task(name=name, hidden=(3,)), task(name="other"))
    network = model(categorical=(table,), tasks=tasks, sharing=MMoE(experts=2), normalization=normalization)
    rows = {row.name: row.parameters for row in outline(network)}
    norm = 2 * 3 if normalization == "layer" else 0
    width = network.input_width
    assert rows[f"embeddings.{name}"] == 20
    assert rows[f"gates.{name}"] == 2 * width
    assert rows[f"tasks.{name}.0"] == network.trunk[-1] * 3 + 3 + norm
    assert sum(rows.values()) == sum(math.prod(shape) for shape in parameter_shapes(network).values())
    shared = shared_parameters(network)
    assert shared[0] == f"embeddings.{name}"
    assert all(parameter.startswith("experts.") for parameter in shared[1:])


@pytest.mark.parametrize(
    ("sharing", "words"),
    [
        (SharedBottom(), "shared_bottom, trunk 8-4"),
        (Separate(), "separate, trunk 8-4"),
        (MMoE(experts=3), "mmoe (experts 3), trunk 8-4"),
        (PLE(levels=2), "ple (shared_experts 2, task_experts 2, levels 2), trunk 8-4"),
    ],
)
def test_the_way_of_sharing_in_words(sharing, words):
    assert sharing_words(model(trunk=(8, 4), sharing=sharing)) == words


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (TaskSpec(name="a", kind="binary"), "binary"),
        (TaskSpec(name="a", kind="binary", given="b", loss="log_loss"), "binary given b"),
        (TaskSpec(name="a", kind="regression", loss="squared"), "regression"),
        (TaskSpec(name="a", kind="regression", loss="absolute"), "regression, loss absolute"),
        (TaskSpec(name="a", kind="regression", loss=Huber(delta=2.0)), "regression, loss huber (delta 2.0)"),
        (
            TaskSpec(name="a", kind="binary", loss=LogLoss(positive_weight=3.0)),
            "binary, loss log_loss (positive_weight 3.0, label_smoothing 0.0, focal_gamma 0.0)",
        ),
    ],
)
def test_a_task_in_words(spec, words):
    assert task_words(spec) == words
