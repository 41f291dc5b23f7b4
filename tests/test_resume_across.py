"""A run that one framework began and the other ends follows the curve of one that never moved, to 1e-9 in float64."""

from dataclasses import replace

import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import SGD, Adagrad, Adam, AdamW, EarlyStopping, RMSprop, Schedule, load_backend
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, as_of, short, without_seconds
from tests.helpers.parity import compare_curves, compare_params

RTOL = 1e-9
OPTIMIZERS = {
    "sgd": SGD(learning_rate=0.05),
    "nesterov": SGD(learning_rate=0.05, momentum=0.8, nesterov=True),
    "adam": Adam(learning_rate=1e-2, beta1=0.8, eps=1e-5, weight_decay=0.01),
    "adamw": AdamW(learning_rate=1e-2),
    "adagrad": Adagrad(learning_rate=0.05, initial_accumulator=0.1),
    "rmsprop": RMSprop(decay=0.9),
    "rmsprop with momentum": RMSprop(decay=0.9, momentum=0.7),
}
NETWORK = replace(MODEL, dropout=0.2, normalization="layer")
MOVES = [("torch", "jax"), ("jax", "torch")]
FIRST, MIDDLE, LAST = 1, 7, 10


def fit(name, train, folder, **options):
    backend = load_backend(name)
    train = replace(train, execution=short(backend).execution)
    # Calls of one step, so that JAX compiles once an optimizer.
    return backend.fit(NETWORK, train, DATA, VALIDATION, checkpoint=folder, save_every=1, keep=100, **options)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """By backend and optimizer, a run that never moved, and its folder."""
    pytest.importorskip("torch")
    pytest.importorskip("flax")
    runs = {}

    def run(name, optimizer):
        if (name, optimizer) not in runs:
            train = short(
                load_backend(name),
                optimizer=OPTIMIZERS[optimizer],
                precision="float64",
                schedule=Schedule(kind="cosine", warmup_steps=3, final=0.1),
                clip_norm=1.0,
                early_stopping=EarlyStopping(monitor="price", patience=9),
            )
            folder = tmp_path_factory.mktemp("alone")
            runs[name, optimizer] = train, folder, fit(name, train, folder)
        return runs[name, optimizer]

    return run


@pytest.mark.parametrize(("origin", "goal"), MOVES)
@pytest.mark.parametrize("step", [FIRST, MIDDLE, LAST])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_other_framework_goes_on(alone, tmp_path, origin, goal, step, optimizer):
    train, folder, whole = alone(origin, optimizer)
    own = as_of(folder, step, tmp_path)
    moved = fit(goal, train, own, resume=True)
    compare_curves(moved.history, whole.history, RTOL)
    compare_curves(moved.history, alone(goal, optimizer)[2].history, RTOL)
    compare_params(moved.params, whole.params, RTOL)
    assert moved.history.best_epoch == whole.history.best_epoch
    end, there = load_checkpoint(own), load_checkpoint(folder)
    assert (end.backend, end.step, there.step) == (origin if step == LAST else goal, 10, 10)
    assert list(end.slots) == list(OPTIMIZERS[optimizer].slots)
    for name, slot in end.slots.items():
        compare_params(slot, there.slots[name], 1e-8)
    for ours, theirs in zip(without_seconds(moved.history), without_seconds(whole.history), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=RTOL)
        assert ours["metrics"]["price"]["rmse"] == pytest.approx(theirs["metrics"]["price"]["rmse"], rel=RTOL)
