"""Lazy embedding updates: the backends and a plain NumPy version draw one curve and end with the same tables and slots.

Dropout, layer norm and what else is combined with them: `tests.helpers.combinations`.
"""

import functools
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import DynamicWeightAverage, Fixed, GradNorm, PCGrad, UncertaintyWeighting
from spec.data import row_order
from tests.helpers.backends import each_pair
from tests.helpers.checkpoints import as_of, assert_same_run, assert_same_state
from tests.helpers.lazy import BATCH, DATA, MODEL, OPTIMIZERS, ROWS, STEPS, TRAIN
from tests.helpers.parity import PARAMS_RTOL, RTOL, both, compare_params
from tests.helpers.plain_training import named_rows, train_plainly
from tests.helpers.runs import executions, quickest

plain = functools.cache(lambda train: train_plainly(MODEL, train, DATA))
BALANCINGS = [UncertaintyWeighting(initial_log_variance=0.3), DynamicWeightAverage(), GradNorm(), PCGrad()]


def agrees(backend, train, folder, execution=None):
    """The run, after the whole of it was compared with the plain version. It saves the end of each epoch."""
    fitted = backend.fit(
        MODEL, replace(train, execution=execution or quickest(backend.name)), DATA, checkpoint=folder, keep=100
    )
    expected = plain(train)
    assert fitted.history.step_loss.shape == (STEPS,)
    np.testing.assert_allclose(fitted.history.step_loss, expected.total, rtol=RTOL)
    weights = [fitted.history.task_weight[task.name] for task in MODEL.tasks]
    np.testing.assert_allclose(np.stack(weights, axis=1), expected.weights, rtol=RTOL)
    compare_params(fitted.params, expected.params, RTOL)
    slots = load_checkpoint(folder).slots
    assert list(slots) == list(train.optimizer.slots)
    for name, slot in slots.items():
        compare_params(slot, expected.slots[name], RTOL)
    return fitted


def batches():
    """The rows of each step."""
    for epoch in range(TRAIN.epochs):
        order = row_order(TRAIN.seed, epoch, ROWS)
        for start in range(0, ROWS, BATCH):
            yield DATA.take(order[start : start + BATCH])


def test_the_batches_name_some_rows_of_a_table_all_or_none_and_rows_of_weight_0_name_some():
    named = [named_rows(MODEL, rows) for rows in batches()]
    assert len(named) == STEPS
    sizes = {table: {len(rows[table]) for rows in named} for table in named[0]}
    assert max(sizes["embeddings.word"]) < 150
    assert 3 in sizes["embeddings.maker"]
    assert {0, 2} <= sizes["embeddings.tags"]
    counted = [named_rows(MODEL, rows.take(rows.sample_weight > 0))["embeddings.word"] for rows in batches()]
    assert any(len(some) < len(rows["embeddings.word"]) for some, rows in zip(counted, named, strict=True))


@pytest.mark.parametrize(("decay", "clip_norm"), [(0.0, None), (0.1, 0.5)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(backend, tmp_path, optimizer, decay, clip_norm):
    optimizer = replace(OPTIMIZERS[optimizer], weight_decay=decay)
    agrees(backend, replace(TRAIN, optimizer=optimizer, clip_norm=clip_norm), tmp_path)


@pytest.mark.parametrize("balancing", BALANCINGS, ids=lambda balancing: balancing.kind)
def test_every_balancing(backend, tmp_path, balancing):
    train = replace(TRAIN, balancing=balancing)
    agrees(backend, train, tmp_path)
    assert np.abs(plain(train).total / plain(TRAIN).total - 1).max() > 1e-4  # the rule does something


@executions
def test_every_execution_and_one_that_is_resumed(backend, tmp_path, monkeypatch, execution):
    """PyTorch's scan takes three steps at a time here, so that one takes up what the one before it has moved."""
    monkeypatch.setattr("backends.torch.lazy.SCANNED_ROWS", 3 * (6 * BATCH + 2 * BATCH + 3))
    whole = agrees(backend, TRAIN, tmp_path / "alone", execution)
    assert whole.history.execution == execution
    folder, train = as_of(tmp_path / "alone", STEPS // 3, tmp_path / "resumed"), replace(TRAIN, execution=execution)
    assert_same_run(backend.fit(MODEL, train, DATA, checkpoint=folder, resume=True), whole)
    assert_same_state(load_checkpoint(folder), load_checkpoint(tmp_path / "alone"))


@pytest.mark.parametrize("size", [1, ROWS, 100])
def test_batches_of_one_row_of_all_and_of_more_than_there_are(backend, size):
    train = replace(TRAIN, batch_size=size, epochs=2)
    fitted = backend.fit(MODEL, replace(train, execution=quickest(backend.name)), DATA)
    expected = plain(train)
    np.testing.assert_allclose(fitted.history.step_loss, expected.total, rtol=RTOL)
    compare_params(fitted.params, expected.params, RTOL)


@pytest.mark.slow
@each_pair
@pytest.mark.parametrize("balancing", [Fixed(), *BALANCINGS], ids=lambda balancing: balancing.kind)
def test_the_backends_agree_on_what_the_plain_version_has_not(pair, balancing):
    model = replace(MODEL, activation="gelu", normalization="layer", dropout=0.2)
    train = replace(TRAIN, balancing=balancing)
    executions = {"torch": "eager", "jax": "epoch"}
    one, other = both(pair, model, train, DATA, steps=STEPS, **{name: executions[name] for name in pair})
    compare_params(one.params, other.params, PARAMS_RTOL)
    compare_params(one.balance, other.balance, PARAMS_RTOL)
