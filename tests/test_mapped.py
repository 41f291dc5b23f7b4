"""Rows mapped from files are the rows that they would be in memory: gathered, cut into steps, and trained on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spec.mapped
from backends import batches
from backends.batches import BatchSource
from backends.gather import gather
from backends.layout import layout_of
from spec import Dataset
from spec.mapped import mapping, pieces
from tests.helpers.mapped import on_disk
from tests.helpers.runs import training
from tests.helpers.strategies import repeatable


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of a few rows."""
    monkeypatch.setattr(spec.mapped, "PIECE_BYTES", 100)


def test_what_is_mapped_is_known_however_it_is_wrapped(tmp_path):
    array = np.arange(12.0).reshape(6, 2)
    np.save(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for view in (mapped, mapped[2:], mapped[1:4][:, 1], np.asarray(mapped), np.asarray(mapped[::2])):
        assert mapping(view) is mapping(mapped) is not None
    for copy in (array, mapped[[0, 1]], mapped + 1, np.load(tmp_path / "a.npy", mmap_mode="c")):
        assert mapping(copy) is None
    assert Dataset(numeric=mapped).mapped
    assert not Dataset(numeric=array, categorical=mapped[[0]].astype(int)).mapped


def test_what_was_changed_in_a_mapped_array_is_kept(tmp_path, small_pieces):
    np.save(tmp_path / "a.npy", np.zeros((100, 2)))
    for mode in ("r+", "c"):
        array = np.load(tmp_path / "a.npy", mmap_mode=mode)
        array[50] = 7.0
        for _ in range(2):
            assert sum(piece.sum() for _, piece in pieces(array)) == 14.0
        assert gather(Dataset(numeric=array), np.array([50, 3])).numeric.tolist() == [[7.0, 7.0], [0.0, 0.0]]


@repeatable
@given(st.data())
def test_gathered_rows_are_those_of_an_array_in_memory(tmp_path_factory, draw):
    """Of any shape and layout, in any order, each as often as it is named."""
    rows, width = draw.draw(st.integers(1, 60)), draw.draw(st.sampled_from([(), (0,), (1,), (3,)]))
    dtype = draw.draw(st.sampled_from(["float64", "float32", "int16", "bool"]))
    array = np.arange(rows * int(np.prod(width, dtype=int))).reshape(rows, *width).astype(dtype)
    path = tmp_path_factory.mktemp("rows") / "a.npy"
    np.save(path, np.asfortranarray(array) if draw.draw(st.booleans()) else array)
    mapped = np.load(path, mmap_mode="r") if array.size else array
    start, step = draw.draw(st.integers(0, rows - 1)), draw.draw(st.sampled_from([1, 2, -1]))
    array, mapped = array[start::step], mapped[start::step]
    index = np.array(draw.draw(st.lists(st.integers(0, len(array) - 1), max_size=80)), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spec.mapped, "PIECE_BYTES", draw.draw(st.sampled_from([1, 50, 10**6])))
        taken = gather(Dataset(numeric=mapped, labels={"a": array}), index)
        np.testing.assert_array_equal(taken.numeric, array[index], strict=True)
        np.testing.assert_array_equal(taken.labels["a"], array[index], strict=True)
        np.testing.assert_array_equal(np.concatenate([piece for _, piece in pieces(mapped)]), array, strict=True)
    assert mapping(taken.numeric) is None


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "even"])
def test_steps_of_mapped_rows_are_those_of_rows_in_memory(
    tmp_path, monkeypatch, small_pieces, model, data, weighted, precision
):
    monkeypatch.setattr(batches, "PIECE_ROWS", 3)
    if not weighted:
        labels = {name: np.where(np.isnan(label) | (label < 0), 0, label) for name, label in data.labels.items()}
        labels["region"] = labels["region"].astype(int)
        data = replace(data, labels=labels, sample_weight=None)
    order = np.random.default_rng(0).permutation(20)
    sources = [BatchSource(layout_of(model), rows, 8, precision) for rows in (data, on_disk(data, tmp_path))]
    assert sources[0].steps_per_call() == sources[1].steps_per_call()
    in_memory, mapped = (source.take(order) for source in sources)
    assert in_memory.keys() == mapped.keys()
    for name, array in in_memory.items():
        np.testing.assert_array_equal(mapped[name], array, strict=True)


@pytest.mark.parametrize(
    ("execution", "precision"),
    [
        ("eager", "float32"),
        ("eager", "float64"),
        pytest.param("step", "float64", marks=pytest.mark.slow),
        pytest.param("epoch", "float32", marks=pytest.mark.slow),
    ],
)
def test_mapped_rows_draw_the_same_curve_bit_for_bit(
    backend, tmp_path, monkeypatch, small_pieces, model, data, execution, precision
):
    """Of every kind of column; with few layers, which take long to compile."""
    model = replace(model, trunk=(6,), tasks=tuple(replace(task, hidden=()) for task in model.tasks))
    train = training(backend, execution=execution, precision=precision, batch_size=3)
    expected = backend.fit(model, train, data, data)
    monkeypatch.setattr(batches, "MAX_CALL_BYTES", 1000)
    monkeypatch.setattr("shared_bottom.run.calls.SHORT_CALL", 2)
    mapped = on_disk(data, tmp_path)
    fitted = backend.fit(model, train, mapped, mapped, checkpoint=tmp_path / "saved", save_every=3)
    np.testing.assert_array_equal(fitted.history.step_loss, expected.history.step_loss)
    for name, value in expected.params.items():
        np.testing.assert_array_equal(fitted.params[name], value)
    for own, other in zip(fitted.history.epochs, expected.history.epochs, strict=True):
        assert own["metrics"] == other["metrics"]
