"""Who uses which expert: the mean weights of the gates over many rows, and how a report shows them."""

from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.reports.gates import ALL_TASKS, gate_tables, gates
from shared_bottom.run import gates as run_gates
from shared_bottom.run.gates import mean_gates
from spec import PLE, MMoE, Separate, SharedBottom, TaskSpec, initial_params
from spec.data import random_data
from spec.network import levels
from tests.helpers.builders import model as small_model

TASKS = (TaskSpec(name="click", kind="binary"), TaskSpec(name="spend", kind="regression"))


def network(sharing):
    return small_model(tasks=TASKS, sharing=sharing)


def uneven(model):
    """Mean weights of each gate that add up to 1, and of which no two are equal."""
    names = [gate for level in levels(model) for gate in level.gates]
    return {
        gate.layer.name: (1.0 + place + np.arange(len(gate.experts)))
        / (1.0 + place + np.arange(len(gate.experts))).sum()
        for place, gate in enumerate(names)
    }


@pytest.mark.parametrize("sharing", [MMoE(experts=3), PLE(levels=2)], ids=lambda sharing: sharing.kind)
@pytest.mark.parametrize("rows", [1, 30])
def test_the_mean_is_that_of_all_rows_however_they_are_cut(backend, monkeypatch, sharing, rows):
    model = network(sharing)
    params, data = initial_params(model), random_data(model, rows)
    expected = {name: weights.mean(axis=0) for name, weights in backend.gates(model, params, data).items()}
    for most in (8, 10**6):
        monkeypatch.setattr(run_gates, "PREDICT_ROWS", 8)
        monkeypatch.setattr(run_gates, "WEIGHTS", most)
        found = mean_gates(backend, model, params, data, "cpu", None)
        assert found.keys() == expected.keys()
        for name, weights in found.items():
            np.testing.assert_allclose(weights, expected[name], rtol=1e-6)
            assert weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("sharing", [SharedBottom(), Separate()], ids=lambda sharing: sharing.kind)
def test_without_gates_there_is_nothing_to_show(backend, sharing):
    model = network(sharing)
    weights = mean_gates(backend, model, initial_params(model), random_data(model, 5), "cpu", None)
    assert (weights, gates(model, weights), list(gate_tables(model, weights))) == ({}, None, [])


def test_each_gate_has_a_row_and_each_expert_a_column():
    model = network(MMoE(experts=3))
    weights = uneven(model)
    (table,) = gate_tables(model, weights)
    assert (table.title, table.experts, table.owners) == ("mmoe", ("0", "1", "2"), ("click", "spend"))
    np.testing.assert_array_equal(table.weights, [weights["gates.click"], weights["gates.spend"]])


def test_what_a_gate_does_not_look_at_is_empty():
    model = network(PLE(shared_experts=1, levels=2))
    weights = uneven(model)
    first, last = gate_tables(model, weights)
    assert (first.title, last.title) == ("ple, level 0", "ple, level 1")
    assert first.experts == ("click.0", "click.1", "spend.0", "spend.1", "shared.0")
    assert (first.owners, last.owners) == (("click", "spend", ALL_TASKS), ("click", "spend"))
    click, spend = (weights[f"levels.0.gates.{task.name}"] for task in TASKS)
    nan = np.nan
    np.testing.assert_array_equal(first.weights[0], [*click[:2], nan, nan, click[2]])
    np.testing.assert_array_equal(first.weights[1], [nan, nan, *spend])
    np.testing.assert_array_equal(first.weights[2], weights["levels.0.gates.shared"])


def test_a_panel_for_each_level_has_the_weights_as_shades_and_as_numbers():
    model = network(PLE(levels=2, shared_experts=1))
    weights = uneven(model)
    panels = gates(model, weights).axes
    assert [panel.get_title() for panel in panels] == ["ple, level 0", "ple, level 1"]
    for panel, table in zip(panels, gate_tables(model, weights), strict=True):
        np.testing.assert_array_equal(panel.images[0].get_array().filled(np.nan), table.weights)
        looked_at = table.weights[np.isfinite(table.weights)]
        assert [text.get_text() for text in panel.texts] == [f"{weight:.2f}" for weight in looked_at]
        assert [label.get_text() for label in panel.get_xticklabels()] == list(table.experts)
        assert [label.get_text() for label in panel.get_yticklabels()] == list(table.owners)


def test_many_experts_are_shades_alone_and_not_all_are_named():
    model = network(MMoE(experts=60))
    (panel,) = gates(model, uneven(model)).axes
    assert (len(panel.texts), len(panel.get_xticklabels())) == (0, 20)


def test_a_weight_that_is_not_finite_is_said_and_not_drawn():
    model = network(MMoE(experts=2))
    weights = uneven(model) | {"gates.click": np.array([np.nan, np.nan])}
    (panel,) = gates(model, weights).axes
    assert [text.get_text() for text in panel.texts] == ["a weight is not finite"]
    assert not panel.images
    assert gates(replace(model, sharing=SharedBottom()), {}) is None


def test_a_level_is_drawn_whose_gates_are_finite_beside_one_whose_are_not():
    model = network(PLE(levels=2))
    weights = uneven(model) | {"levels.1.gates.click": np.full(4, np.nan)}
    first, last = gates(model, weights).axes
    assert (len(first.images), len(last.images)) == (1, 0)
    assert [text.get_text() for text in last.texts] == ["a weight is not finite"]
