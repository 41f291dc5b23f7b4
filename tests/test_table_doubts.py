"""What in the training rows is most likely not meant so is said, in one line; and what may well be so is not."""

import warnings

import pyarrow as pa
import pytest

from shared_bottom import DataWarning
from shared_bottom.tables.rows import fit_columns
from spec import CategoricalColumn, LabelColumn, TimeColumn
from tests.helpers.table_files import simple, write

ROWS = 200
X, Y = [i % 7 for i in range(ROWS)], [i % 2 for i in range(ROWS)]


def said(folder, rows, **spec):
    """What is warned of when an experiment of the columns x and y is fitted to rows."""
    write(folder, "train.csv", {"x": X[: len(rows["y"])]} | rows)
    write(folder, "given.parquet", {"value": ["a", "b"], "vector": [[1.0, 0.0]] * 2})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_columns(simple(**spec), folder)
    assert all(warning.category is DataWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def category(**options):
    return {"inputs": (CategoricalColumn(name="c", **options),)}


def time(*parts):
    return {"time": (TimeColumn(name="t", parts=parts),)}


def label(**options):
    return LabelColumn(columns=("y",), **options)


HASHED = {"encoding": "hash", "buckets": 9}
FROZEN = {"dimension": 2, "embeddings": "given.parquet", "trainable": False}
"""Vectors of a and b."""
TIMES = [f"2024-01-05T10:{i // 60:02}:{i % 60:02}" for i in range(ROWS)]
CASES = {
    "a time for each row": (
        {"c": TIMES, "y": Y},
        category(),
        "column 'c': expected a category, got 200 distinct values in 200 (is it a number, a time or the row's id?)",
    ),
    "a float for each row": (
        {"c": [i / 7 for i in range(ROWS)], "y": Y},
        category(minimum_count=2),
        "column 'c': expected a category, got 200 distinct values in 200 (is it a number, a time or the row's id?)",
    ),
    "lists in texts": (
        {"c": ["a|b|c", "b|c", "a"] * 60, "y": Y[:180]},
        category(),
        "column 'c': 120 of 180 values have '|' in them; if they are lists, set separator = '|' and a length above 1",
    ),
    "hashed lists in texts": (
        {"c": ["a;b,c", "b;c"] * 100, "y": Y},
        category(**HASHED),
        "column 'c': 200 of 200 values have ';' in them; if they are lists, set separator = ';' and a length above 1",
    ),
    "a category of one value": (
        {"c": ["a"] * ROWS, "y": Y},
        category(),
        "column 'c': expected values that differ, got 'a' in every row",
    ),
    "a number of one value": (
        {"x": [2.5, None] * 100, "y": Y},
        {},
        "column 'x': expected numbers that differ, got 2.5 in every row that has one",
    ),
    "the hour of pure dates": (
        {"t": ["2024-01-05", "2024-01-06", "2025-02-07", None] * 50, "y": Y},
        time("hour", "weekday", "year"),
        "column 't': expected times whose hours differ, got hour 0 in every row that has one (are they dates?)",
    ),
    "a minute of whole hours": (
        {"t": [f"2024-01-05T{hour:02}:00" for hour in range(20)] * 10, "y": Y},
        time("hour", "minute"),
        "column 't': expected times whose minutes differ, got minute 0 in every row that has one (are they dates?)",
    ),
    "values without a frozen vector": (
        {"c": ["a", "b", "b", "z"] * 50, "y": Y},
        category(**FROZEN),
        "column 'c': expected a vector for each value, since its embeddings are frozen, got none for 50 of 200 (25.0%)",
    ),
    "spellings beside the positive one": (
        {"y": ["yes", "no", "Yes", "", "no", "None"], "x": [1, 2, 3, 4, 5, 6]},
        {"label": label(positive="yes")},
        "task 'y': labels other than 'yes' count as 0: 'no' (2), 'Yes' (1)",
    ),
    "a binary label of one value": (
        {"y": [1] * ROWS},
        {},
        "task 'y': expected labels of both kinds, got '1' in all 200",
    ),
    "only positive labels": (
        {"y": ["yes", None] * 100},
        {"label": label(positive="yes")},
        "task 'y': expected labels of both kinds, got 'yes' in all 100",
    ),
    "a class without rows": (
        {"y": ["low", "high"] * 100},
        {"kind": "multiclass", "outputs": 3, "label": label(classes=("low", "mid", "high"))},
        "task 'y': expected rows of each class, got none of 'mid'",
    ),
    "labels of no class": (
        {"y": ["low", "high", "mid", "high "] * 50},
        {"kind": "multiclass", "outputs": 2, "label": label(classes=("low", "high"))},
        "task 'y': 50 labels are none of its classes, and do not count: 'mid' (50)",
    ),
    "large labels as they are": (
        {"y": [30000.0 + 100 * x for x in X]},
        {"kind": "regression", "label": label(standardise=False)},
        "task 'y': expected labels near unit size without standardise, got a mean of 3.03e+04 and a deviation of "
        "199.7 in column 'y'",
    ),
    "labels of one number": (
        {"y": [3.0] * ROWS},
        {"kind": "regression"},
        "task 'y': expected labels that differ, got 3 in every row that has one",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_most_likely_not_meant_is_said(tmp_path, name):
    rows, spec, line = CASES[name]
    assert said(tmp_path, rows, **spec) == [f"training rows: {line}"]


def test_one_line_names_the_first_of_many(tmp_path):
    classes = tuple(f"c{i:02}" for i in range(40))
    rows = {"y": [*classes[:20], *(f"d{i:02}" for i in range(20))]}
    without, others = said(tmp_path, rows, kind="multiclass", outputs=40, label=label(classes=classes))
    assert without.endswith("got none of 'c20', 'c21', 'c22', 'c23', 'c24', 'c25', 'c26', 'c27', 'c28', 'c29', …")
    assert ": 20 labels are none of its classes, and do not count: " in others
    assert others.endswith(" (1) and 10 more")


USUAL = {
    "few rows": ({"c": ["a", "b", "c", "d"], "y": [0, 1, 0, 1]}, category()),
    "every value twice": ({"c": [i // 2 for i in range(ROWS)], "y": Y}, category()),
    "a hashed id": ({"c": range(ROWS), "y": Y}, category(**HASHED)),
    "a separator in some values": ({"c": ["a", "b, c"] * 100, "y": Y}, category()),
    "lists that are divided": (
        {"c": ["a|b|c", "b|c", "a"] * 60, "y": Y[:180]},
        category(length=3, separator="|"),
    ),
    "a year and a month of one value": ({"t": TIMES, "y": Y}, time("year", "month", "minute")),
    "few dates": ({"t": ["2024-01-05"] * 4, "y": Y[:4]}, time("hour")),
    "no times at all": ({"t": [None] * ROWS, "y": Y}, time("hour")),
    "few values without a frozen vector": (
        {"c": ["a"] * 100 + ["b"] * 90 + ["z"] * 10, "y": Y},
        category(**FROZEN),
    ),
    "values beside given vectors that are trained": (
        {"c": ["a", "b", "b", "z"] * 50, "y": Y},
        category(**FROZEN | {"trainable": True}),
    ),
    "one value, and missing ones": ({"c": ["a", ""] * 100, "y": Y}, category()),
    "two texts of a binary label": ({"y": ["yes", "no", None, "NA"] * 50}, {"label": label(positive="yes")}),
    "labels of 0 and 1": ({"y": Y}, {}),
    "every class": ({"y": ["a", "b"] * 100}, {"kind": "multiclass", "outputs": 2, "label": label(classes=("b", "a"))}),
    "large labels, standardised": ({"y": [30000.0 + x for x in X]}, {"kind": "regression"}),
    "labels of unit size as they are": (
        {"y": [x / 7 for x in X]},
        {"kind": "regression", "label": label(standardise=False)},
    ),
    "amounts on a logarithmic scale": (
        {"y": [30000.0 * x for x in X]},
        {"kind": "regression", "label": label(standardise=False, transform="log1p")},
    ),
}


@pytest.mark.parametrize("name", USUAL)
def test_what_may_well_be_so_is_not_said(tmp_path, name):
    rows, spec = USUAL[name]
    assert said(tmp_path, rows, **spec) == []


@pytest.mark.parametrize("unit", ["s", "us"])
def test_a_timestamp_of_parquet_is_no_category_either(tmp_path, unit):
    times = pa.array(range(ROWS), pa.timestamp(unit))
    write(tmp_path, "train.parquet", {"t": times, "y": Y})
    spec = simple(("train.parquet",), inputs=(CategoricalColumn(name="t"),))
    with pytest.warns(DataWarning, match="column 't': expected a category, got 200 distinct values in 200"):
        fit_columns(spec, tmp_path)
