"""Lazy embedding updates: each backend and a plain NumPy version draw one curve and end with equal tables and slots."""

from dataclasses import replace

import numpy as np
import pytest

from spec.data import row_order
from tests.helpers.lazy import BALANCINGS, BATCH, DATA, MODEL, OPTIMIZERS, ROWS, STEPS, TRAIN, agrees, plain
from tests.helpers.parity import RTOL, compare_params
from tests.helpers.plain_training import named_rows
from tests.helpers.runs import quickest


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
    assert np.abs(plain(MODEL, train).total / plain(MODEL, TRAIN).total - 1).max() > 1e-4  # the rule does something


@pytest.mark.parametrize("size", [1, ROWS, 100])
def test_batches_of_one_row_of_all_and_of_more_than_there_are(backend, size):
    train = replace(TRAIN, batch_size=size, epochs=2)
    fitted = backend.fit(MODEL, replace(train, execution=quickest(backend.name)), DATA)
    expected = plain(MODEL, train)
    np.testing.assert_allclose(fitted.history.step_loss, expected.total, rtol=RTOL)
    compare_params(fitted.params, expected.params, RTOL)
