"""A run with lazy embedding updates is resumed as any other is, and its checkpoints are like those of any other."""

from dataclasses import replace

import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import load_backend
from tests.helpers.backends import each_way
from tests.helpers.checkpoints import as_of, assert_same_run, assert_same_state
from tests.helpers.lazy import DATA, MODEL, OPTIMIZERS, STEPS, TRAIN
from tests.helpers.parity import PARAMS_RTOL, RTOL, compare_curves, compare_params
from tests.helpers.runs import quickest

NETWORK = replace(MODEL, dropout=0.2)
MIDDLE, END = 8, 12
"""Steps after which a run is stopped: within an epoch, and after the short batch that ends one."""


def fit(backend, train, folder, **options):
    train = replace(train, execution=quickest(backend.name))
    # Calls of two steps, so that one scan is compiled.
    return backend.fit(NETWORK, train, DATA, checkpoint=folder, save_every=2, keep=100, **options)


def test_the_same_framework_goes_on_bit_for_bit(backend, tmp_path):
    alone = fit(backend, TRAIN, tmp_path / "alone")
    for step in (MIDDLE, END, STEPS):
        own = as_of(tmp_path / "alone", step, tmp_path / f"from-{step}")
        assert_same_run(fit(backend, TRAIN, own, resume=True), alone)
        assert_same_state(load_checkpoint(own), load_checkpoint(tmp_path / "alone"))


@pytest.mark.slow
@each_way
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop with momentum"])
def test_the_other_framework_goes_on_with_the_curve(tmp_path, first, then, optimizer):
    train = replace(TRAIN, optimizer=replace(OPTIMIZERS[optimizer], weight_decay=0.1))
    folder = {name: tmp_path / name for name in (first, then)}
    whole = [fit(load_backend(name), train, folder[name]) for name in folder]
    for step in (MIDDLE, END):
        own = as_of(folder[first], step, tmp_path / f"from-{step}")
        moved = fit(load_backend(then), train, own, resume=True)
        for expected in whole:
            compare_curves(moved.history, expected.history, RTOL)
            compare_params(moved.params, expected.params, PARAMS_RTOL)
        for name, slot in load_checkpoint(own).slots.items():
            compare_params(slot, load_checkpoint(folder[first]).slots[name], PARAMS_RTOL)


def test_a_checkpoint_has_the_names_shapes_and_types_of_one_with_dense_updates(backend, tmp_path):
    saved = []
    for updates in ("lazy", "dense"):
        train = replace(TRAIN, embedding_updates=updates, epochs=1, execution=quickest(backend.name))
        backend.fit(MODEL, train, DATA, checkpoint=tmp_path / updates)
        saved.append(load_checkpoint(tmp_path / updates))
    lazy, dense = ({"params": one.params} | one.slots for one in saved)
    assert list(lazy) == list(dense) == ["params", "mu", "nu"]
    for part, arrays in lazy.items():
        described = [[(n, array.shape, array.dtype) for n, array in own.items()] for own in (arrays, dense[part])]
        assert described[0] == described[1]


@pytest.mark.parametrize(("saved", "now"), [("lazy", "dense"), ("dense", "lazy")])
def test_a_run_with_other_updates_is_another_run(backend, tmp_path, saved, now):
    train = replace(TRAIN, embedding_updates=saved, epochs=1, execution=quickest(backend.name))
    backend.fit(MODEL, train, DATA, checkpoint=tmp_path)
    said = rf"^resume: expected the run of .*, got another: train\.embedding_updates: {saved} saved, {now} now$"
    with pytest.raises(ValueError, match=said):
        backend.fit(MODEL, replace(train, embedding_updates=now), DATA, checkpoint=tmp_path, resume=True)
