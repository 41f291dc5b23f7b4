"""A data set as steps: shapes, padding, shares of a loss, and pieces of a call."""

import math
from dataclasses import replace

import numpy as np
import pytest

from backends import batches
from backends.batches import BatchSource, encode_inputs, padded_inputs
from backends.layout import layout_of
from shared_bottom.run.calls import epoch_calls
from spec import SGD, Dataset, ModelSpec, TaskSpec, TrainSpec, learning_rates, presets
from tests.helpers.builders import tasks_of


def has_label(label):
    """In plain Python: no NaN among a row's labels, and no -1 as a class."""
    values = np.atleast_1d(label)
    return not any(math.isnan(value) for value in values) and not (values.dtype.kind == "i" and values[0] == -1)


def plain_shares(data, tasks, rows, batch_size):
    """By task, the shares of one batch: w·m / Σ w·m, and 0 for what pads it."""
    found = []
    for task in tasks:
        weight = [float(data.sample_weight[row]) if has_label(data.labels[task.name][row]) else 0.0 for row in rows]
        total = sum(weight)
        found.append([w / total if total else 0.0 for w in weight] + [0.0] * (batch_size - len(rows)))
    return np.array(found)


@pytest.mark.parametrize("count", [1, 2], ids=["untied", "tied"])
@pytest.mark.parametrize("kind", ["binary", "regression", "multiclass"])
def test_shapes_and_types(kind, count):
    model = ModelSpec(numeric=2, trunk=(4,), tasks=tasks_of(kind, count))
    data = presets.random_data(model, 10)
    taken = BatchSource(layout_of(model), data, 4, "float32").take(np.arange(10))
    heads = (count,) if count > 1 else ()
    outputs = (3,) if kind == "regression" else ()
    assert {name: (array.shape, array.dtype) for name, array in taken.items()} == {
        "numeric": ((3, 4, 2), np.float32),
        "labels.0": ((3, *heads, 4, *outputs), np.int32 if kind == "multiclass" else np.float32),
        "shares.0": ((3, *heads, 4), np.float32),
    }


def test_each_step_holds_its_rows(model, data):
    order = np.random.default_rng(0).permutation(20)
    layout = layout_of(model)
    taken = BatchSource(layout, data, 8, "float64").take(order)
    assert taken["categorical"].dtype == np.int32
    for step in range(3):
        rows = order[8 * step : 8 * (step + 1)]
        np.testing.assert_array_equal(taken["numeric"][step, : len(rows)], data.numeric[rows])
        np.testing.assert_array_equal(taken["categorical"][step, : len(rows)], data.categorical[rows])
        for i, head in enumerate(layout.heads):
            own = taken[f"labels.{i}"][step] if head.tied else taken[f"labels.{i}"][step][None]
            for label, task in zip(own, head.tasks, strict=True):
                for got, row in zip(label, rows, strict=False):
                    expected = data.labels[task.name][row]
                    np.testing.assert_array_equal(got, expected if has_label(expected) else 0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_shares_against_plain_python(model, data, precision):
    order = np.random.default_rng(1).permutation(20)
    layout = layout_of(model)
    taken = BatchSource(layout, data, 8, precision).take(order)
    for i, head in enumerate(layout.heads):
        for step, shares in enumerate(taken[f"shares.{i}"]):
            expected = plain_shares(data, head.tasks, order[8 * step : 8 * (step + 1)], 8)
            assert shares.dtype == precision
            np.testing.assert_allclose(shares if head.tied else shares[None], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8, np.int64])
def test_shares_are_exact_whatever_the_weights_type(dtype):
    model = ModelSpec(numeric=1, trunk=(1,), tasks=tasks_of("binary", 1))
    weight = np.array([250, 7, 3, 0] * 500).astype(dtype)  # more in sum than float16 holds
    data = replace(presets.random_data(model, 2000), sample_weight=weight)
    (shares,) = BatchSource(layout_of(model), data, 2000, "float64").take(np.arange(2000))["shares.0"]
    np.testing.assert_allclose(shares, np.array([250, 7, 3, 0] * 500) / 130_000, rtol=1e-14)


def test_a_task_without_a_label_has_no_shares(model, data):
    labels = data.labels | {"buy": np.full(20, np.nan), "region": np.full(20, -1)}
    taken = BatchSource(layout_of(model), replace(data, labels=labels), 8, "float64").take(np.arange(20))
    for i, head in enumerate(layout_of(model).heads):
        sums = taken[f"shares.{i}"].sum(axis=-1).reshape(3, -1)
        for task, total in zip(head.tasks, sums.T, strict=True):
            np.testing.assert_allclose(total, 0.0 if task.name in ("buy", "region") else 1.0, rtol=1e-12)


@pytest.mark.parametrize(("rows", "batch_size"), [(10, 4), (9, 8), (8, 4)])
def test_the_short_last_batch_is_padded_with_share_0(rows, batch_size):
    model = ModelSpec(numeric=2, trunk=(4,), tasks=tasks_of("regression", 2))
    source = BatchSource(layout_of(model), presets.random_data(model, rows), batch_size, "float64")
    shares = source.take(np.arange(rows))["shares.0"]
    last = rows % batch_size or batch_size
    np.testing.assert_array_equal(shares[-1], np.tile([1 / last] * last + [0.0] * (batch_size - last), (2, 1)))
    np.testing.assert_array_equal(shares[:-1], 1 / batch_size)


@pytest.mark.parametrize("rows", [9, 13, 15, 16])
def test_what_pads_a_step_are_rows_of_this_step(rows):
    model = ModelSpec(numeric=1, trunk=(4,), tasks=tasks_of("binary", 1))
    data = replace(presets.random_data(model, rows), numeric=np.arange(float(rows))[:, None])
    order = np.random.default_rng(0).permutation(rows)
    taken = BatchSource(layout_of(model), data, 8, "float64").take(order)
    for step, numeric in enumerate(taken["numeric"]):
        assert set(numeric[:, 0]) == set(order[8 * step : 8 * (step + 1)])


@pytest.mark.parametrize(("rows", "batch_size"), [(3, 8), (1, 10**9)])
def test_a_batch_larger_than_the_data_is_one_short_batch_without_padding(rows, batch_size):
    model = ModelSpec(numeric=2, trunk=(4,), tasks=tasks_of("regression", 2))
    taken = BatchSource(layout_of(model), presets.random_data(model, rows), batch_size, "float64").take(np.arange(rows))
    assert taken["numeric"].shape == (1, rows, 2)
    np.testing.assert_array_equal(taken["shares.0"], np.full((1, 2, rows), 1 / rows))


def test_shares_depend_on_the_rows_taken(model, data):
    source = BatchSource(layout_of(model), data, 4, "float64")
    assert not np.array_equal(source.take(np.arange(4))["shares.0"], source.take(np.arange(4, 8))["shares.0"])
    even = BatchSource(layout_of(model), presets.random_data(model, 20), 4, "float64")
    assert len(even.take(np.arange(20))["shares.0"]) == 5
    assert len(even.take(np.arange(6))["shares.0"]) == 2
    assert even.take(np.arange(6))["shares.0"][1, 0].tolist() == [0.5, 0.5, 0.0, 0.0]
    assert even.take(np.arange(7))["shares.0"][1, 0].tolist() == [1 / 3] * 3 + [0.0]


@pytest.mark.parametrize("max_bytes", [1, 700, 10**9])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_occurs_once_an_epoch(monkeypatch, max_bytes, shuffle):
    model = ModelSpec(numeric=1, trunk=(2,), tasks=tasks_of("regression", 1))
    data = replace(presets.random_data(model, 23), numeric=np.arange(23.0)[:, None])
    train = TrainSpec(batch_size=4, epochs=2, shuffle=shuffle, seed=5)
    monkeypatch.setattr(batches, "MAX_CALL_BYTES", max_bytes)
    source = BatchSource(layout_of(model), data, 4, "float32")
    orders = []
    for epoch in range(2):
        calls = list(epoch_calls(train, source, epoch, np.ones(12)))
        there = [call["shares.0"] > 0 for call in calls]
        orders.append(np.concatenate([c["numeric"][..., 0][t] for c, t in zip(calls, there, strict=True)]))
        assert sorted(orders[-1]) == list(range(23))
        assert sum(len(call["learning_rate"]) for call in calls) == 6
    assert np.array_equal(*orders) is not shuffle
    assert np.array_equal(orders[0], np.arange(23)) is not shuffle


@pytest.mark.parametrize(
    ("done", "save_every", "most", "lengths"),
    [
        (0, None, None, [6]),
        (0, None, 4, [4, 2]),
        (0, None, 9, [6]),
        (0, 5, 2, [2, 2, 1, 1]),
        (3, 5, 2, [1, 1, 1]),
        (7, None, 4, [3, 2]),
    ],
)
def test_calls_are_cut_alike_wherever_a_run_begins(model, data, done, save_every, most, lengths):
    train = TrainSpec(batch_size=4, epochs=2)
    source, rates = (
        BatchSource(layout_of(model), data.take(np.resize(np.arange(20), 23)), 4, "float32"),
        np.arange(12.0),
    )
    calls = list(epoch_calls(train, source, done // 6, rates, done, save_every, most))
    assert [len(call["learning_rate"]) for call in calls] == lengths
    assert [rate for call in calls for rate in call["learning_rate"]] == list(range(done, 6 * (done // 6) + 6))


def test_each_step_has_its_own_rate_and_key(monkeypatch, model, data):
    monkeypatch.setattr(batches, "MAX_CALL_BYTES", 1)
    dropping = replace(model, dropout=0.5)
    train = TrainSpec(batch_size=8, epochs=2, optimizer=SGD(learning_rate=0.5))
    rates = np.linspace(1.0, 0.1, 6)
    calls = []
    for kept in (model, dropping):
        source = BatchSource(layout_of(kept), data, 8, "float32")
        calls.append([call for epoch in range(2) for call in epoch_calls(train, source, epoch, rates)])
    without, with_dropout = calls
    assert len(without) == len(with_dropout) == 6
    np.testing.assert_array_equal(np.concatenate([c["learning_rate"] for c in without]), rates.astype(np.float32))
    assert not any("dropout_key" in call for call in without)
    assert len({int(key) for call in with_dropout for key in call["dropout_key"]}) == 6


RATE_AND_KEY = 16
"""Bytes of a step's learning rate and dropout key, at most."""


def test_a_call_stays_within_64_mib():
    assert batches.MAX_CALL_BYTES == 64 * 2**20
    model = ModelSpec(numeric=4096, trunk=(2,), tasks=(*tasks_of("regression", 2), TaskSpec(name="b", kind="binary")))
    source = BatchSource(layout_of(model), presets.random_data(model, 8), 8, "float32")
    one_step = sum(array.nbytes for array in source.take(np.arange(8)).values()) + RATE_AND_KEY
    assert source.steps_per_call() == 64 * 2**20 // one_step > 1


@pytest.mark.parametrize("lazy_batch", [None, 2], ids=["dense", "lazy"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_bytes_of_a_call_are_those_it_takes(monkeypatch, model, data, precision, lazy_batch):
    monkeypatch.setattr(batches, "MAX_CALL_BYTES", 700)
    source = BatchSource(layout_of(model, lazy_batch), data, 2, precision)
    steps = source.steps_per_call()
    assert 1 < steps < 10
    for count, fits in ((steps, True), (steps + 1, False)):
        taken = source.take(np.arange(count * 2))
        assert (sum(array.nbytes for array in taken.values()) + count * RATE_AND_KEY <= 700) is fits


def test_a_call_has_at_least_one_step(monkeypatch, model, data):
    monkeypatch.setattr(batches, "MAX_CALL_BYTES", 1)
    assert BatchSource(layout_of(model), data, 20, "float32").steps_per_call() == 1


def test_many_calls_train_as_one_does(backend, monkeypatch, model, data):
    train = TrainSpec(batch_size=6, epochs=2, execution=backend.lock_step, device="cpu")
    whole = backend.fit(model, train, data)
    monkeypatch.setattr(batches, "MAX_CALL_BYTES", 500)
    source = BatchSource(layout_of(model), data, 6, "float32")
    assert len(list(epoch_calls(train, source, 0, learning_rates(train, 8)))) == 4
    cut = backend.fit(model, train, data)
    np.testing.assert_array_equal(cut.history.step_loss, whole.history.step_loss)
    for name, value in whole.params.items():
        np.testing.assert_array_equal(cut.params[name], value)


def test_inputs_that_the_model_lacks_are_left_out():
    only_numeric = ModelSpec(numeric=2, trunk=(2,), tasks=tasks_of("binary", 1))
    data = Dataset(numeric=np.ones((3, 2), np.int64), categorical=np.zeros((3, 0), int))
    inputs = encode_inputs(layout_of(only_numeric), data, "float64")
    assert {name: array.dtype for name, array in inputs.items()} == {"numeric": np.float64}


@pytest.mark.parametrize(
    ("rows", "size", "expected"),
    [
        (1, 4, [[0]]),
        (3, 4, [[0, 1, 2, 0]]),
        (3, 3, [[0, 1, 2]]),
        (5, 100, [[0, 1, 2, 3, 4, 0, 1, 2]]),
        (8, 100, [[0, 1, 2, 3, 4, 5, 6, 7]]),
        (4, 4, [[0, 1, 2, 3]]),
        (5, 4, [[0, 1, 2, 3], [4, 4, 4, 4]]),
        (7, 3, [[0, 1, 2], [3, 4, 5], [6, 6, 6]]),
        (8, 3, [[0, 1, 2], [3, 4, 5], [6, 7, 6]]),
    ],
)
def test_rows_are_padded_to_one_size(rows, size, expected):
    numbers = np.arange(rows)[:, None].astype(np.float32)
    numbers.flags.writeable = False  # which PyTorch warns of
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(TaskSpec(name="click", kind="binary"),))
    pieces = [*padded_inputs(layout_of(model), Dataset(numeric=numbers), "float32", size)]
    assert [piece["numeric"][:, 0].tolist() for piece in pieces] == expected
    assert all(piece["numeric"].flags.writeable for piece in pieces)
