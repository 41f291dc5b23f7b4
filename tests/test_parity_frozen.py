"""Parameters that `TrainSpec.frozen` names do not move: both backends and a plain NumPy version draw one curve."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import (
    PLE,
    SGD,
    Adam,
    AdamW,
    Fixed,
    GradNorm,
    MMoE,
    ModelSpec,
    PCGrad,
    Separate,
    TaskSpec,
    UncertaintyWeighting,
    initial_params,
    load_backend,
    presets,
)
from spec.data import row_order
from tests.helpers.backends import each_way
from tests.helpers.checkpoints import as_of
from tests.helpers.lazy import DATA, MODEL, TRAIN, agrees
from tests.helpers.parity import RTOL, WITHIN, compare_curves, compare_params, fit
from tests.helpers.plain_training import train_plainly
from tests.helpers.sharing_models import SMALL, data_of

TRUNK = [f"trunk.{i}.{part}" for i in (0, 1) for part in ("kernel", "bias")]
TABLES = [f"embeddings.{name}" for name in ("word", "colour", "place", "tags", "maker")]
CLICK = [f"tasks.click.{i}.{part}" for i in (0, 1, 2) for part in ("kernel", "bias")]
FROZEN = {
    "the trunk and all tables": (("trunk", "embeddings"), TRUNK + TABLES),
    "one of two tables and one of two heads that are tied": (
        ("embeddings.word", "tasks.click"),
        ["embeddings.word", "embeddings.place", *CLICK],
    ),
    "a layer, and a kernel of one of two heads that are tied": (
        ("trunk.0", "tasks.buy.1.kernel"),
        ["embeddings.place", *TRUNK[:2], "tasks.buy.1.kernel"],
    ),
}
"""Patterns, and the parameters that do not move then; embeddings.place never does."""
START = initial_params(MODEL, seed=TRAIN.seed, precision="float64")


def stands_still(fitted, names, start=START):
    """These parameters are those of the start, bit for bit, and all others are not."""
    assert [name for name, value in fitted.params.items() if np.array_equal(value, start[name])] == sorted(
        names, key=list(start).index
    )


@pytest.mark.parametrize(("frozen", "updates"), list(zip(FROZEN, ["lazy", "lazy", "dense"], strict=True)))
def test_the_others_move_as_in_a_plain_numpy_version(backend, tmp_path, frozen, updates):
    """With weight decay, and a norm that clips; the optimizer has slots for the others alone."""
    patterns, names = FROZEN[frozen]
    train = replace(TRAIN, optimizer=AdamW(learning_rate=1e-2, weight_decay=0.3), clip_norm=0.1)
    train = replace(train, embedding_updates=updates, frozen=patterns)
    stands_still(agrees(backend, train, tmp_path), names)
    for slot in load_checkpoint(tmp_path).slots.values():
        assert list(slot) == [name for name in START if name not in names]


@pytest.mark.parametrize(
    ("balancing", "patterns"),
    [
        (GradNorm(), ("trunk.1.kernel",)),
        (GradNorm(), ("*.kernel", "embeddings.word", "embeddings.tags")),
        (PCGrad(), ("trunk.0", "embeddings.word", "tasks.buy")),
        (UncertaintyWeighting(), ("trunk", "tasks.*.bias")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value.kind,
)
def test_balancing_sees_only_what_moves(backend, tmp_path, balancing, patterns):
    """GradNorm measures the last shared layer that moves, and the tables that do where no layer does."""
    agrees(backend, replace(TRAIN, balancing=balancing, frozen=patterns, embedding_updates="dense"), tmp_path)


def test_pcgrad_projects_nothing_where_nothing_shared_moves():
    train = replace(TRAIN, frozen=("trunk", "embeddings"), execution="eager")
    one, other = (fit("torch", MODEL, replace(train, balancing=rule), DATA) for rule in (PCGrad(), Fixed()))
    compare_curves(one.history, other.history, WITHIN)


SHARINGS = {
    "separate": (Separate(), ("tasks.a.trunk", "tasks.b.trunk.0.kernel"), 3),
    "mmoe": (MMoE(experts=3), ("experts.1", "gates.a"), 3),
    "ple": (
        PLE(shared_experts=2, task_experts=1, levels=2),
        ("levels.1.shared.0", "levels.*.gates.a", "levels.0.b"),
        6,
    ),
}


@pytest.mark.parametrize("way", SHARINGS)
def test_some_of_the_experts_and_gates_that_are_tied(way):
    sharing, patterns, count = SHARINGS[way]
    tasks = tuple(TaskSpec(name=name, kind="binary") for name in "ab")
    model = ModelSpec(**SMALL | {"tasks": tasks, "sharing": sharing, "trunk": (3,)})
    data = data_of(model, 14)
    train = replace(TRAIN, balancing=GradNorm(), frozen=patterns, embedding_updates="dense", batch_size=5, epochs=2)
    start = initial_params(model, seed=train.seed, precision="float64")
    plain = train_plainly(model, train, data)
    for name, execution in (("torch", "eager"), ("jax", "epoch")):
        fitted = fit(name, model, train, data, execution=execution)
        np.testing.assert_allclose(fitted.history.step_loss, plain.total, rtol=RTOL)
        compare_params(fitted.params, plain.params, RTOL)
        still = [name for name, value in fitted.params.items() if np.array_equal(value, start[name])]
        assert len(still) == count


@pytest.mark.slow
def test_a_compiled_scan(backend, tmp_path):
    """With lazy updates, and with tensors that join what moves and what does not."""
    patterns, names = FROZEN["one of two tables and one of two heads that are tied"]
    stands_still(agrees(backend, replace(TRAIN, frozen=patterns), tmp_path, "epoch"), names)


@each_way
def test_the_other_framework_goes_on(first, then, tmp_path):
    """Or the same one, bit for bit."""
    patterns, names = FROZEN["one of two tables and one of two heads that are tied"]
    train = replace(TRAIN, frozen=patterns)
    begun, then_train = (replace(train, execution="eager" if name == "torch" else "step") for name in (first, then))
    whole = load_backend(first).fit(MODEL, begun, DATA, checkpoint=tmp_path / "alone", save_every=1, keep=100)
    folder = as_of(tmp_path / "alone", 7, tmp_path / "moved")
    moved = load_backend(then).fit(MODEL, then_train, DATA, checkpoint=folder, resume=True)
    compare_curves(moved.history, whole.history, 0 if first == then else RTOL)
    stands_still(moved, names)


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.8, weight_decay=0.1), Adam(weight_decay=0.1), AdamW()])
def test_a_loop_of_pytorch_whose_parameters_require_no_gradient_draws_the_same_curve(optimizer):
    """Clipped, so that the norm is compared too."""
    patterns, _ = FROZEN["the trunk and all tables"]
    train = replace(TRAIN, optimizer=optimizer, frozen=patterns, clip_norm=0.05, embedding_updates="dense")
    model = replace(MODEL, tasks=tuple(TaskSpec(name=name, kind="regression", hidden=(3,)) for name in "ab"))
    data = presets.random_data(model, 40)
    fitted = fit("torch", model, train, data, execution="eager")

    network = load_backend("torch").build(model, initial_params(model, seed=train.seed, precision="float64"))
    for part in (network.trunk, network.tables):
        part.requires_grad_(False)
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer.kind]
    options = {"momentum": optimizer.momentum} if isinstance(optimizer, SGD) else {}
    native = kind(network.parameters(), lr=optimizer.learning_rate, weight_decay=optimizer.weight_decay, **options)
    losses = []
    for epoch in range(train.epochs):
        for rows in torch.tensor(row_order(train.seed, epoch, data.rows)).split(train.batch_size):
            outputs = network(torch.tensor(data.numeric)[rows], torch.tensor(data.categorical)[rows])
            labels = {name: torch.tensor(label)[rows].reshape(len(rows), -1) for name, label in data.labels.items()}
            loss = sum(((outputs[name] - label) ** 2).mean() for name, label in labels.items())
            native.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), train.clip_norm)
            native.step()
            losses.append(loss.item())
    np.testing.assert_allclose(fitted.history.step_loss, losses, rtol=RTOL)
