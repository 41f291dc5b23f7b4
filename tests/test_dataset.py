"""Rows that fit a model pass; rows that do not are rejected with the array, the place and the value."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec import CategoricalFeature, Dataset, ModelSpec, TaskSpec, presets
from spec.data import label_present
from tests.helpers.strategies import model_specs, repeatable

NAN = np.nan
MODEL = ModelSpec(
    numeric=2,
    categorical=(
        CategoricalFeature(name="colour", vocabulary=3, dimension=2),
        CategoricalFeature(name="size", vocabulary=5, dimension=2),
    ),
    trunk=(4,),
    tasks=(
        TaskSpec(name="click", kind="binary"),
        TaskSpec(name="price", kind="regression"),
        TaskSpec(name="span", kind="regression", outputs=2),
        TaskSpec(name="region", kind="multiclass", outputs=4),
    ),
)


def fitting(*, labels=None, **arrays):
    """Four rows that fit, but for the arrays given; a label given as None is left out."""
    own = {
        "numeric": np.linspace(-1.0, 1.0, 8).reshape(4, 2),
        "categorical": np.array([[0, 0], [1, 4], [2, 2], [0, 3]]),
    }
    own_labels = {
        "click": np.array([0.0, 1.0, NAN, 1.0]),
        "price": np.array([1.5, -2.0, NAN, 0.0]),
        "span": np.array([[0.0, 1.0], [NAN, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "region": np.array([0, 3, -1, 2]),
    }
    merged = {name: label for name, label in (own_labels | (labels or {})).items() if label is not None}
    return Dataset(**(own | {"labels": merged} | arrays))


def changed(array, place, value):
    array = np.array(array)
    array[place] = value
    return array


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
    ],
)
def test_rows_that_fit_pass(changes):
    data = fitting(**changes)
    data.check(MODEL)
    assert data.rows == 4


@repeatable
@given(model_specs(), st.integers(1, 20))
def test_random_rows_fit_their_model(model, rows):
    data = presets.random_data(model, rows, seed=1)
    data.check(model)
    assert data.rows == rows


BAD = {
    "no arrays": ({"numeric": None, "categorical": None}, "data: numeric categorical got neither"),
    "no rows": ({"numeric": np.zeros((0, 2))}, "data: at least one row got 0"),
    "numeric missing": ({"numeric": None}, "numeric: (4, 2) got none"),
    "numeric too wide": ({"numeric": np.zeros((4, 3))}, "numeric: (4, 2) got (4, 3)"),
    "numeric flat": ({"numeric": np.zeros(4)}, "numeric: (4, 2) got (4,)"),
    "numeric of text": ({"numeric": np.full((4, 2), "1")}, "numeric: floats got <U1"),
    "numeric of objects": ({"numeric": np.full((4, 2), None)}, "numeric: floats got object"),
    "numeric complex": ({"numeric": np.zeros((4, 2), complex)}, "numeric: floats got complex128"),
    "NaN": ({"numeric": changed(np.zeros((4, 2)), (2, 1), NAN)}, "numeric: finite got nan column 1, row 2"),
    "inf": ({"numeric": changed(np.zeros((4, 2)), (3, 0), -np.inf)}, "numeric: finite got -inf column 0, row 3"),
    "categorical missing": ({"categorical": None}, "categorical: (4, 2) got none"),
    "categorical too narrow": ({"categorical": np.zeros((4, 1), int)}, "categorical: (4, 2) got (4, 1)"),
    "categorical too short": ({"categorical": np.zeros((3, 2), int)}, "categorical: (4, 2) got (3, 2)"),
    "categorical of floats": ({"categorical": np.zeros((4, 2))}, "categorical: integers got float64"),
    "id too large": (
        {"categorical": changed(np.zeros((4, 2), int), (3, 1), 5)},
        "categorical: [0, 5) column 1 (size) got 5 row 3",
    ),
    "id negative": (
        {"categorical": changed(np.zeros((4, 2), int), (1, 0), -1)},
        "categorical: [0, 3) column 0 (colour) got -1 row 1",
    ),
    "label missing": ({"labels": {"price": None}}, "labels: task 'price' got none"),
    "task unknown": ({"labels": {"prize": np.zeros(4)}}, "labels: click, price, span, region got 'prize'"),
    "label too long": ({"labels": {"click": np.zeros(5)}}, "labels['click']: (4,) got (5,)"),
    "label as a column": ({"labels": {"click": np.zeros((4, 1))}}, "labels['click']: (4,) got (4, 1)"),
    "targets too wide": ({"labels": {"price": np.zeros((4, 2))}}, "labels['price']: (4, 1) got (4, 2)"),
    "targets flat": ({"labels": {"span": np.zeros(4)}}, "labels['span']: (4, 2) got (4,)"),
    "targets of text": ({"labels": {"price": np.full(4, "1")}}, "labels['price']: numbers got <U1"),
    "binary 2": ({"labels": {"click": [0, 1, 2, 0]}}, "labels['click']: 0, 1, NaN got 2 row 2"),
    "binary 0.5": ({"labels": {"click": [0, 0.5, 1, 0]}}, "labels['click']: 0, 1, NaN got 0.5 row 1"),
    "binary -1": ({"labels": {"click": [-1, 0, 1, 0]}}, "labels['click']: 0, 1, NaN got -1 row 0"),
    "class too large": ({"labels": {"region": [0, 1, 2, 4]}}, "labels['region']: [0, 4) got 4 row 3"),
    "class negative": ({"labels": {"region": [0, -2, 2, 3]}}, "labels['region']: [0, 4) -1 got -2 row 1"),
    "classes of floats": ({"labels": {"region": np.zeros(4)}}, "labels['region']: integer got float64"),
    "target inf": ({"labels": {"price": [0, 1, 2, np.inf]}}, "labels['price']: finite got inf row 3"),
    "targets inf": (
        {"labels": {"span": changed(np.zeros((4, 2)), (1, 1), -np.inf)}},
        "labels['span']: finite got -inf row 1",
    ),
    "weight negative": ({"sample_weight": [1, 1, -0.5, 1]}, "sample_weight: 0 or more got -0.5 row 2"),
    "weight NaN": ({"sample_weight": [1, NAN, 1, 1]}, "sample_weight: finite got nan row 1"),
    "weight inf": ({"sample_weight": [np.inf, 1, 1, 1]}, "sample_weight: finite got inf row 0"),
    "weights all zero": ({"sample_weight": np.zeros(4)}, "sample_weight: at least one above 0 got all 0"),
    "weights too few": ({"sample_weight": np.ones(3)}, "sample_weight: (4,) got (3,)"),
    "task weight of no task": (
        {"task_weight": {"prize": np.ones(4)}},
        "task_weight: click, price, span, region got 'prize'",
    ),
    "task weight negative": ({"task_weight": {"price": [1, -2, 1, 1]}}, "task_weight['price']: 0 or more got -2 row 1"),
    "task weight NaN": ({"task_weight": {"price": [NAN, 1, 1, 1]}}, "task_weight['price']: finite got nan row 0"),
    "task weights all zero": ({"task_weight": {"price": np.zeros(4)}}, "task_weight['price']: at least one got all 0"),
    "task weights too few": ({"task_weight": {"price": np.ones(3)}}, "task_weight['price']: (4,) got (3,)"),
    "weights whose product is infinite": (
        {"sample_weight": np.full(4, 1e200), "task_weight": {"price": np.full(4, 1e200)}},
        "task_weight['price']: finite sample_weight got infinite",
    ),
    "id masked": (
        {"categorical": np.ma.array(np.zeros((4, 2), np.uint8), mask=np.eye(4, 2, -2))},
        "categorical: [0, 3) column 0 (colour) got -1 row 2",
    ),
    "weights of flags": ({"sample_weight": np.ones(4, bool)}, "sample_weight: numbers got bool"),
}


@pytest.mark.parametrize("piece", [1, None], ids=["row by row", "at once"])
@pytest.mark.parametrize(("changes", "words"), BAD.values(), ids=BAD)
def test_rows_that_do_not_fit_are_rejected(monkeypatch, changes, words, piece):
    if piece:
        monkeypatch.setattr("spec.mapped.PIECE_BYTES", piece)
        monkeypatch.setattr("spec.data.PIECE_ROWS", piece)
    data = fitting(**changes)
    with pytest.raises(ValueError, match=r".") as caught:
        data.check(MODEL)
    expected, _, received = words.partition(" got ")
    before, _, after = str(caught.value).replace(", got ", " got ").replace("dtype ", "").partition(" got ")
    assert before.startswith(expected.split()[0])
    assert after.startswith(received.split()[0])
    assert [word for word in words.split() if word not in str(caught.value)] == []


FIRST = {
    "numeric": ({"numeric": changed(np.zeros((4, 2)), [2, 1], [[0, NAN], [np.inf, 0]])}, "inf in column 0, row 1"),
    "ids of a feature": ({"categorical": changed(np.zeros((4, 2), int), [2, 1], [[3, 0], [4, 0]])}, "got 4 in row 1"),
    "ids of features": ({"categorical": changed(np.zeros((4, 2), int), [0, 3], [[0, 5], [3, 0]])}, "got 3 in row 3"),
    "classes": ({"labels": {"region": [0, 1, 4, 5]}}, "got 4 in row 2"),
    "truths": ({"labels": {"click": np.ma.array([0, 3, 2, 4], mask=[0, 1, 0, 0])}}, "got 2 in row 2"),
    "targets": ({"labels": {"span": changed(np.zeros((4, 2)), (slice(2, 4), 1), np.inf)}}, "got inf in row 2"),
    "weights": ({"sample_weight": [1, 1, -1, -2]}, "got -1 in row 2"),
    "the only weight above 0 is the last": ({"task_weight": {"click": [0, 0, 0, 1]}}, None),
    "the only label is the last": (
        {"task_weight": {"click": np.zeros(4)}, "labels": {"click": [NAN, NAN, NAN, 1]}},
        "above 0, got all 0",
    ),
}


@pytest.mark.parametrize("piece", [1, 24, None])
@pytest.mark.parametrize(("changes", "end"), FIRST.values(), ids=FIRST)
def test_the_first_bad_place_is_named_however_the_rows_are_cut(monkeypatch, changes, end, piece):
    if piece:
        monkeypatch.setattr("spec.mapped.PIECE_BYTES", piece)
        monkeypatch.setattr("spec.data.PIECE_ROWS", piece)
    data = fitting(**changes)
    if end is None:
        return data.check(MODEL)
    with pytest.raises(ValueError, match=f"{end}$"):
        data.check(MODEL)
    return None


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"numeric": np.ma.array(np.zeros((4, 2)), mask=np.eye(4, 2, -2))}, "numeric: .* column 0, row 2"),
        ({"numeric": np.ma.masked_invalid([[1.0, NAN]])}, "numeric: .* column 1, row 0"),
        ({"sample_weight": np.ma.array([1, 2, 3, 4], mask=[0, 0, 1, 1])}, "sample_weight: .* row 2"),
        ({"task_weight": {"click": np.ma.masked_equal([1, 2, 3, 4], 2)}}, r"task_weight\['click'\]: .* row 1"),
    ],
    ids=["numeric", "numeric NaN", "sample_weight", "task_weight"],
)
def test_a_masked_number_or_weight_is_rejected(arrays, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        fitting(**arrays)


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


LISTS = replace(
    MODEL,
    categorical=(
        CategoricalFeature(name="tags", vocabulary=3, dimension=2, length=2),
        CategoricalFeature(name="size", vocabulary=5, dimension=2),
    ),
)


def test_where_a_feature_has_several_ids_minus_one_stands_for_none():
    ids = np.array([[0, 2, 4], [-1, 1, 0], [-1, -1, 0], [2, -1, 0]])
    fitting(categorical=ids).check(LISTS)
    masked = np.ma.array(np.abs(ids).astype(np.uint16), mask=ids < 0)
    np.testing.assert_array_equal(fitting(categorical=masked).categorical, ids)
    with pytest.raises(ValueError, match=r"categorical: expected shape \(4, 3\), got \(4, 2\)"):
        fitting().check(LISTS)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((1, 1), 3, r"ids in \[0, 3\), or -1 for none, in column 1 \(tags\), got 3 in row 1"),
        ((2, 0), -2, r"ids in \[0, 3\), or -1 for none, in column 0 \(tags\), got -2 in row 2"),
        ((3, 2), -1, r"ids in \[0, 5\) in column 2 \(size\), got -1 in row 3"),
    ],
)
def test_an_id_of_no_vocabulary_is_rejected(place, value, words):
    with pytest.raises(ValueError, match=f"^categorical: expected {words}$"):
        fitting(categorical=changed(np.zeros((4, 3), int), place, value)).check(LISTS)


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
