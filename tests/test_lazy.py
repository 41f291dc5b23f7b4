"""Lazy embedding updates: which rows a batch names, that others stay as they are, and where it is dense arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.layout import layout_of
from backends.lazy import TOUCHED, touch
from shared_bottom.checkpoint.folder import load_checkpoint
from spec import EarlyStopping, presets
from spec.data import row_order
from spec.params import initial_params
from tests.helpers.lazy import BATCH, DATA, FEATURES, MODEL, OPTIMIZERS, ROWS, TRAIN, rows_of
from tests.helpers.parity import PARAMS_RTOL, RTOL, compare_curves, compare_params
from tests.helpers.plain_training import named_rows
from tests.helpers.runs import quickest
from tests.helpers.strategies import features, model_specs, of_agreeing_tables, repeatable

WITH_TABLES = model_specs(
    categorical=st.lists(features, min_size=1, max_size=4, unique_by=lambda f: f.name).map(of_agreeing_tables)
)
SAME = ("sgd", "adagrad")
"""The optimizers by which lazy and dense updates are the same arithmetic where nothing decays."""


def train_with(backend, model=MODEL, data=None, validation=None, **fields):
    train = replace(TRAIN, **({"execution": quickest(backend.name)} | fields))
    return backend.fit(model, train, rows_of(model) if data is None else data, validation)


@repeatable
@given(WITH_TABLES, st.integers(1, 6), st.integers(0, 99))
def test_each_step_has_the_rows_that_it_names_in_ascending_order_and_its_ids_as_places_among_them(model, batch, seed):
    layout, whole = layout_of(model, batch), layout_of(model)
    ids = presets.random_data(model, 3 * batch, seed=seed).categorical.reshape(3, batch, -1).astype(np.int32)
    before = ids.copy()
    arrays = touch(layout, ids)
    np.testing.assert_array_equal(ids, before)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int32)}
    assert arrays.keys() == {"categorical"} | {TOUCHED + name for name in layout.lazy}
    for table in whole.tables:
        columns, (name, *_) = list(table.columns), next(table.tensors)
        places = arrays["categorical"][..., columns]
        if not table.trainable:
            np.testing.assert_array_equal(places, ids[..., columns])
            continue
        rows, there = ids[..., columns] + np.array(table.offsets), ids[..., columns] >= 0
        touched = arrays[TOUCHED + name]
        assert touched.shape == (3, layout.tensors[name].shape[0])
        assert (np.diff(touched) > 0).all()
        np.testing.assert_array_equal(places == -1, ~there)
        for step in range(3):
            np.testing.assert_array_equal(touched[step][places[step][there[step]]], rows[step][there[step]])
            named = set(rows[step][there[step]])
            assert [row for row in touched[step] if row < table.rows] == sorted(named)


def test_dense_updates_have_the_ids_as_they_are():
    ids = DATA.categorical[None].astype(np.int32)
    assert touch(layout_of(MODEL), ids) == {"categorical": ids}


def test_a_short_batch_names_its_own_rows_alone(backend):
    """What fills it up is no row of the data, and above all not the first row of each table."""
    names = ["embeddings.word", "embeddings.maker"]
    ids = np.where(DATA.categorical >= 0, np.maximum(DATA.categorical, 1), -1)
    rows = replace(DATA, categorical=ids).take(np.resize(np.arange(ROWS), 3))
    start = initial_params(MODEL, seed=TRAIN.seed, precision="float64")
    fitted = train_with(backend, data=replace(rows, sample_weight=None), epochs=1, batch_size=2)
    named = named_rows(MODEL, rows)
    for name in names:
        moved = (fitted.params[name] != start[name]).all(axis=1)
        np.testing.assert_array_equal(np.flatnonzero(moved), named[name])


@pytest.mark.parametrize("optimizer", ["momentum", "adamw", "adagrad", "rmsprop with momentum"])
def test_a_step_moves_the_rows_that_its_batch_names_and_no_bit_of_others(backend, tmp_path, optimizer):
    """With weight decay every named row moves, also one that only rows of weight 0 name."""
    train = replace(TRAIN, optimizer=replace(OPTIMIZERS[optimizer], weight_decay=0.1), epochs=2)
    train = replace(train, execution=quickest(backend.name))
    backend.fit(MODEL, train, DATA, checkpoint=tmp_path, save_every=1, keep=100)
    before = load_checkpoint(tmp_path / "step-00000001")
    for step in range(1, 12):
        epoch, place = divmod(step, 6)
        rows = row_order(TRAIN.seed, epoch, ROWS)[place * BATCH : (place + 1) * BATCH]
        after = load_checkpoint(tmp_path / f"step-{step + 1:08d}")
        for table, named in named_rows(MODEL, DATA.take(rows)).items():
            frozen = table == "embeddings.place"
            named = [] if frozen else named
            moved = (after.params[table] != before.params[table]).all(axis=1)
            np.testing.assert_array_equal(np.flatnonzero(moved), named)
            others = np.setdiff1d(np.arange(len(moved)), named)
            for a, b in [(after.params, before.params), *zip(after.slots.values(), before.slots.values(), strict=True)]:
                if not frozen or a is after.params:
                    np.testing.assert_array_equal(a[table][others], b[table][others])
        before = after


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("optimizer", SAME)
def test_it_is_dense_arithmetic_where_no_moment_and_no_weight_decays(backend, optimizer, clip_norm):
    fields = {"optimizer": OPTIMIZERS[optimizer], "clip_norm": clip_norm}
    lazy, dense = (train_with(backend, embedding_updates=updates, **fields) for updates in ("lazy", "dense"))
    compare_curves(lazy.history, dense.history, RTOL)
    compare_params(lazy.params, dense.params, PARAMS_RTOL)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_is_other_arithmetic_elsewhere(backend, optimizer):
    decayed = replace(OPTIMIZERS[optimizer], weight_decay=0.1)
    for own in [decayed] if optimizer in SAME else [decayed, OPTIMIZERS[optimizer]]:
        lazy, dense = (train_with(backend, embedding_updates=updates, optimizer=own) for updates in ("lazy", "dense"))
        assert np.abs(lazy.history.step_loss / dense.history.step_loss - 1).max() > 1e-6
        assert lazy.history.step_loss[0] == pytest.approx(dense.history.step_loss[0], rel=RTOL)


@pytest.mark.parametrize("categorical", [(), FEATURES[2:3]], ids=["no table", "a frozen table"])
def test_where_no_table_is_trained_it_changes_no_bit(backend, categorical):
    model = replace(MODEL, categorical=categorical)
    data = presets.random_data(model, ROWS)
    lazy, dense = (train_with(backend, model, data, embedding_updates=updates) for updates in ("lazy", "dense"))
    np.testing.assert_array_equal(lazy.history.step_loss, dense.history.step_loss)
    compare_params(lazy.params, dense.params, 0)


def test_a_table_that_no_row_names_stays_as_it_is(backend):
    tags = FEATURES[4]
    model = replace(MODEL, categorical=(tags,))
    data = replace(presets.random_data(model, ROWS), categorical=np.full((ROWS, tags.length), -1))
    fitted = train_with(backend, model, data)
    start = initial_params(model, seed=TRAIN.seed, precision="float64")
    np.testing.assert_array_equal(fitted.params[tags.parameter], start[tags.parameter])
    assert (fitted.params["trunk.0.bias"] != start["trunk.0.bias"]).all()


def test_the_tables_of_the_best_epoch_are_those_of_its_end(backend):
    """And not what later epochs made of them."""
    fields = {"optimizer": replace(OPTIMIZERS["momentum"], learning_rate=0.1), "clip_norm": None}
    validation = presets.random_data(MODEL, 20, seed=9)
    fitted = train_with(backend, validation=validation, early_stopping=EarlyStopping(patience=9), epochs=5, **fields)
    assert fitted.history.best_epoch < 5
    until_then = train_with(backend, epochs=fitted.history.best_epoch, **fields)
    compare_params(fitted.params, until_then.params, PARAMS_RTOL)
