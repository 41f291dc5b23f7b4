"""Rows that do not fit a model are rejected with the array, the place and the value."""

import re

import numpy as np
import pytest

from tests.helpers.datasets import LISTS, MODEL, NAN, changed, fitting

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
    "groups too few": ({"group": np.ones(3, int)}, "group: (4,) got (3,)"),
    "groups of several columns": ({"group": np.ones((4, 1), int)}, "group: (4,) got (4, 1)"),
    "groups of fractions": ({"group": np.ones(4)}, "group: integers texts got float64"),
    "groups of objects": ({"group": np.array(["a", None, "b", "c"], object)}, "group: integers texts got object"),
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


@pytest.mark.parametrize(
    ("array", "shape", "place"),
    [("group", (4,), "row 2"), ("categorical", (4, 2), "column 0, row 1")],
    ids=["group", "categorical"],
)
@pytest.mark.parametrize("number", [2**63 + 5, 2**64 - 1])
def test_an_unsigned_number_that_int64_cannot_hold_is_rejected_beside_a_masked_one(array, shape, place, number):
    numbers, mask = np.zeros(shape, np.uint64), np.zeros(shape, bool)
    mask.flat[0] = True
    numbers.flat[[0, 2]] = number
    line = f"{array}: expected integers below 2**63 beside a masked one, got {number} in {place}"
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        fitting(**{array: np.ma.array(numbers, mask=mask)})


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
