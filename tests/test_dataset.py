"""Rows that fit a model pass, whatever is missing or left out; and what can be taken of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec import Dataset, presets
from spec.data import in_group, label_present
from tests.helpers.datasets import LISTS, MODEL, NAN, fitting
from tests.helpers.strategies import model_specs, repeatable, several, tasks_with_losses


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"numeric": np.zeros((4, 2), np.float32)},
        {"numeric": np.zeros((4, 2), np.int64)},
        {"numeric": [[1, 2], [3, 4], [5, 6], [7, 8]]},
        {"categorical": np.array([[2, 4]] * 4, np.uint8)},
        {"labels": {"price": np.zeros((4, 1))}},
        {"labels": {"price": np.zeros(4, np.int64), "click": np.array([0, 1, 1, 0])}},
        {"labels": {"click": np.array([True, False, True, False])}},
        {"labels": {"click": np.full(4, NAN), "span": np.full((4, 2), NAN), "region": np.full(4, -1)}},
        {"labels": {"region": np.array([0, 1, 2, 3], np.uint8)}},
        {"sample_weight": np.array([0.0, 0.5, 2.0, 0.0])},
        {"sample_weight": np.array([1, 0, 0, 0])},
        {"task_weight": {"price": np.array([0.0, 0.5, 2.0, 0.0]), "region": [1, 0, 0, 0]}},
        {"task_weight": {"click": np.zeros(4)}, "labels": {"click": np.full(4, NAN)}},
        {"numeric": np.ma.array(np.zeros((4, 2)), mask=False)},
        {"group": np.array([3, -1, 3, 0], np.int8)},
        {"group": ["ann", "", "bob", "ann"]},
        {"group": np.array(["ann", "", "bob", "ann"], object)},
    ],
)
def test_rows_that_fit_pass(changes):
    data = fitting(**changes)
    data.check(MODEL)
    assert data.rows == 4


@repeatable
@given(model_specs(tasks=several(tasks_with_losses)), st.integers(1, 20))
def test_random_rows_fit_their_model(model, rows):
    data = presets.random_data(model, rows, seed=1)
    data.check(model)
    assert data.rows == rows


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "bool"])
def test_a_masked_label_is_a_missing_label(dtype):
    """Also where what lies under the mask is no label."""
    masked = np.ma.array(np.array([1, 0, 1, 1], dtype), mask=[False, True, False, False])
    under = np.ma.array([0, 3, 99, 1], mask=[False, False, True, False])
    labels = {"click": masked, "price": masked if dtype != "bool" else None, "region": under}
    labels["span"] = np.ma.array(np.ones((4, 2)), mask=[[0, 0], [0, 0], [0, 0], [0, 1]])
    data = fitting(labels={**labels, "price": labels["price"] if dtype != "bool" else np.zeros(4)})
    data.check(MODEL)
    present = {task.name: label_present(data.labels[task.name], task).tolist() for task in MODEL.tasks}
    assert present["click"] == [True, False, True, True]
    assert present["price"] == ([True] * 4 if dtype == "bool" else [True, False, True, True])
    assert present["region"] == [True, True, False, True]
    assert present["span"] == [True, True, True, False]
    taken = data.take([1, 2])
    assert label_present(taken.labels["click"], MODEL.tasks[0]).tolist() == [False, True]


def test_where_a_feature_has_several_ids_minus_one_stands_for_none():
    ids = np.array([[0, 2, 4], [-1, 1, 0], [-1, -1, 0], [2, -1, 0]])
    fitting(categorical=ids).check(LISTS)
    masked = np.ma.array(np.abs(ids).astype(np.uint16), mask=ids < 0)
    np.testing.assert_array_equal(fitting(categorical=masked).categorical, ids)
    with pytest.raises(ValueError, match=r"categorical: expected shape \(4, 3\), got \(4, 2\)"):
        fitting().check(LISTS)


def test_random_lists_of_ids_have_every_number_of_them_and_end_with_what_is_missing():
    tags = presets.random_data(LISTS, 50, seed=1).categorical[:, :2]
    assert set((tags >= 0).sum(axis=1)) == {0, 1, 2}
    assert not ((tags[:, 0] < 0) & (tags[:, 1] >= 0)).any()


def test_a_rows_weight_for_a_task_is_the_product_of_both():
    data = fitting(sample_weight=[1, 2, 3, 4], task_weight={"price": [1.0, 0.5, 0.0, 2.0]})
    assert data.weight("price").tolist() == [1.0, 1.0, 0.0, 8.0]
    assert data.weight("click").tolist() == [1, 2, 3, 4]
    assert replace(data, sample_weight=None).weight("price").tolist() == [1.0, 0.5, 0.0, 2.0]
    assert fitting().weight("click") is None


def test_labels_may_be_left_out_when_predicting_but_not_be_wrong():
    fitting(labels=dict.fromkeys(["click", "price", "span", "region"])).check(MODEL, labels=False)
    fitting(labels={"click": None}).check(MODEL, labels=False)
    with pytest.raises(ValueError, match="'click'"):
        fitting(labels={"click": [0, 1, 2, 0]}).check(MODEL, labels=False)
    with pytest.raises(ValueError, match="'prize'"):
        fitting(labels={"prize": np.zeros(4)}).check(MODEL, labels=False)


@pytest.mark.parametrize(
    ("changes", "given"),
    [({"numeric": 0}, {"numeric": None}), ({"categorical": ()}, {"categorical": None})],
    ids=["no numeric", "no categorical"],
)
def test_what_the_model_does_not_use_may_be_left_out(changes, given):
    smaller, data = replace(MODEL, **changes), fitting(**given)
    data.check(smaller)
    assert data.rows == 4
    with pytest.raises(ValueError, match=r"expected shape \(4, 0\), got \(4, 2\)"):
        fitting().check(smaller)


def test_a_missing_label_is_nan_or_minus_one():
    labels = fitting().labels
    present = {task.name: label_present(labels[task.name], task).tolist() for task in MODEL.tasks}
    assert present == {
        "click": [True, True, False, True],
        "price": [True, True, False, True],
        "span": [True, False, True, True],
        "region": [True, True, False, True],
    }


def test_a_row_is_in_no_group_where_it_is_masked_negative_or_empty():
    groups = (
        np.ma.array([7, 7, 5, 7], mask=[0, 1, 0, 1], dtype=np.uint8),
        np.ma.array(["a", "a", "b", "c"], mask=[0, 1, 0, 1]),
        np.array([0, -1, 9, -5]),
        np.array([b"a", b"", b"b", b""]),
    )
    for group in groups:
        assert in_group(fitting(group=group).group).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(slice(1, 3), [1, 2]), ([3, 0, 3], [3, 0, 3]), (np.array([True, False, False, True]), [0, 3])],
    ids=["slice", "indices", "mask"],
)
def test_take_selects_the_same_rows_of_every_array(rows, expected):
    data = fitting(sample_weight=np.arange(4.0), task_weight={"price": np.arange(4.0) + 1})
    taken = data.take(rows)
    np.testing.assert_array_equal(taken.task_weight["price"], [row + 1 for row in expected])
    for name in ("numeric", "categorical", "sample_weight"):
        np.testing.assert_array_equal(getattr(taken, name), [getattr(data, name)[row] for row in expected])
    assert taken.labels.keys() == data.labels.keys()
    for task, label in taken.labels.items():
        np.testing.assert_array_equal(label, [data.labels[task][row] for row in expected])
    assert Dataset(numeric=np.zeros((4, 2))).take(rows).categorical is None
