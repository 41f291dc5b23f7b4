"""Rows read from CSV and Parquet: the same whatever the file, in memory or streamed, known or not."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from shared_bottom.tables.rows import fit_columns, read_rows, stream_rows
from spec import CategoricalColumn, Dataset, LabelColumn, NumericColumn
from tests.helpers.table_files import COLUMNS, arrays, assert_equal, encoded, experiment, simple, write

CITY = (CategoricalColumn(name="c"),)


def joined(parts):
    return Dataset(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in ("numeric", "categorical")}
    )


@pytest.mark.parametrize("name", ["train.parquet", "train.csv.gz"])
def test_the_same_rows_are_the_same_whatever_the_file(tmp_path, name):
    write(tmp_path, "train.csv")
    write(tmp_path, name)
    columns, data = encoded(tmp_path, experiment())
    other, same = encoded(tmp_path, experiment((name,)))
    assert_equal(data, same)
    assert with_data_of(other, columns) == columns
    assert_equal(read_rows(columns, tmp_path, [name]), data)


def with_data_of(columns, other):
    """`columns` with the other's files, which are all that may differ."""
    return type(columns)(**(vars(columns) | {"data": other.data}))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([3, None, 1]), ["3", "", "1"]),
        (pa.array([3, None, 1], pa.uint8()), ["3", "", "1.0"]),
        (pa.array([3.0, None, 0.5]), ["3", "", "0.5"]),
        (pa.array([3.0, float("nan"), -2.0]), ["3.0", "", "-2"]),
        (pa.array([True, None, False]), ["True", "", "false"]),
        (pa.array(["a", None, "b"]).dictionary_encode(), ["a", "", "b"]),
        (pa.array([" a", "NA", "b "], pa.large_string()), ["a", "", "b"]),
        (pa.array([Decimal("3.00"), None, Decimal("0.25")]), ["3", "", "0.25"]),
        (pa.array([datetime.date(2026, 1, 2), None, datetime.date(2025, 3, 4)]), ["2026-01-02", "", "2025-03-04"]),
        (pa.array([7, None, 5]).dictionary_encode(), ["7", "", "5"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_categorical_value_is_its_text_whatever_its_type(tmp_path, values, text):
    write(tmp_path, "train.parquet", {"c": values, "y": [0, 1, 1]})
    write(tmp_path, "train.csv", {"c": text, "y": [0, 1, 1]})
    columns, data = encoded(tmp_path, simple(("train.parquet",), inputs=CITY))
    other, same = encoded(tmp_path, simple(("train.csv",), inputs=CITY))
    assert columns.vocabularies == other.vocabularies
    assert_equal(data, same)
    assert sorted(data.categorical[:, 0]) == [0, 1, 2]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None, 0], pa.int8()),
        pa.array([1, None, 0], pa.float32()),
        pa.array([True, None, False]),
        pa.array([Decimal("1.00"), None, Decimal("0.00")]),
        pa.array([" 1e0", "null", "0.0 "]),
        pa.array(["1", None, "0"]).dictionary_encode(),
        pa.array([1.0, float("nan"), 0.0]),
    ],
    ids=lambda values: str(values.type),
)
def test_a_number_may_have_any_type(tmp_path, values):
    write(tmp_path, "train.parquet", {"x": values, "y": [0, 1, 1]})
    _, data = encoded(tmp_path, simple(("train.parquet",), numeric=(NumericColumn(name="x", standardise=False),)))
    np.testing.assert_array_equal(data.numeric, [[1, 0], [0.5, 1], [0, 0]])


def test_the_first_rows_decide_no_type(tmp_path):
    rows = 20_000
    write(tmp_path, "train.csv", {"x": [1] * rows + [0.5], "c": [7] * rows + ["seven"], "y": [0] * rows + [1]})
    columns, data = encoded(tmp_path, simple(categorical=CITY, memory_mb=1))
    assert columns.vocabularies["c"] == ("7", "seven")
    assert data.numeric[-1, 0] < data.numeric[0, 0]


def test_blanks_quotes_and_newlines_in_a_csv(tmp_path):
    lines = ["x, c,y", ' 1 ,"a, ""b""\nc", 1', "NaN,  NA ,0", "2, ?,0"] + ['3,"two\nlines",1'] * 5000
    (tmp_path / "train.csv").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8", newline="")
    columns, data = encoded(tmp_path, simple(categorical=CITY, memory_mb=1, missing=("", "NA", " ?")))
    assert columns.vocabularies["c"] == ('a, "b"\nc', "two\nlines")
    assert data.categorical[:4, 0].tolist() == [1, 0, 0, 2]
    assert data.numeric[:4, 1].tolist() == [0, 1, 0, 0]
    assert data.rows == 5003


def test_a_delimiter_and_names_that_the_file_does_not_have(tmp_path):
    (tmp_path / "data.txt").write_text("1;a;0\n2;b;1\n")
    spec = simple(("data.txt",), categorical=CITY, delimiter=";", column_names=("x", "c", "y"))
    _, data = encoded(tmp_path, spec)
    assert data.categorical[:, 0].tolist() == [1, 2]


def test_the_format_may_be_said(tmp_path):
    write(tmp_path, "train.parquet")
    (tmp_path / "train.parquet").rename(tmp_path / "train.csv")
    assert encoded(tmp_path, experiment(format="parquet"))[1].rows == 6


def test_several_files_are_one_table(tmp_path):
    write(tmp_path, "train.csv")
    write(tmp_path, "a.csv.gz", {name: values[:2] for name, values in COLUMNS.items()})
    # Columns in another order, an additional one, and a file of none but a header.
    rest = {"more": [1] * 4} | {name: COLUMNS[name][2:] for name in reversed(COLUMNS)}
    write(tmp_path, "b.parquet", rest)
    write(tmp_path, "none.csv", {name: [] for name in COLUMNS})
    columns, whole = encoded(tmp_path, experiment(validation_fraction=0.4, seed=2), "training")
    files = ("a.csv.gz", "none.csv", "b.parquet")
    assert 0 < whole.rows < 6
    assert_equal(read_rows(columns, tmp_path, files, "training"), whole)
    parts = fit_columns(experiment(files, validation_fraction=0.4, seed=2), tmp_path)
    assert parts.vocabularies == columns.vocabularies
    for name, scale in columns.numeric.items():
        assert parts.numeric[name].deviation == pytest.approx(scale.deviation, rel=1e-12)


def test_unknown_and_missing_values_at_prediction(tmp_path):
    write(tmp_path, "train.csv")
    columns = fit_columns(experiment(), tmp_path)
    write(tmp_path, "new.csv", {"paid": [None, 0], "city": ["Paris", None], "floor": ["1.0", 9], "age": [None, 31]})
    data = read_rows(columns, tmp_path, ["new.csv"], labels=False)
    assert data.categorical.tolist() == [[0, 1], [0, 0]]
    # No training row has `paid` missing: it is filled with the mean, and there is no input that says so.
    assert data.numeric[0].tolist() == [0.0, 0.0, 1.0]
    assert (data.labels, data.sample_weight) == ({}, None)


def test_a_class_that_no_training_row_has_is_missing(tmp_path):
    write(tmp_path, "train.csv", {"x": [1, 2], "y": ["a", "b"]})
    write(tmp_path, "test.csv", {"x": [1, 2, 3], "y": ["b", "c", ""]})
    columns = fit_columns(simple(kind="multiclass", outputs=2), tmp_path)
    assert read_rows(columns, tmp_path, ["test.csv"]).labels["y"].tolist() == [1, -1, -1]


@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
@pytest.mark.parametrize("labels", [False, True])
def test_a_stream_has_the_rows_of_the_files_in_their_order(tmp_path, name, labels):
    rows = 20_000
    table = {"x": [float(i) for i in range(rows)], "c": [i % 7 for i in range(rows)], "y": [i % 2 for i in range(rows)]}
    write(tmp_path, name, table)
    spec = simple((name,), categorical=CITY, memory_mb=1)
    columns, data = encoded(tmp_path, spec)
    parts = list(stream_rows(columns, tmp_path, [name, name], labels=labels))
    assert len(parts) > 4
    whole = joined(parts)
    assert whole.rows == 2 * rows
    np.testing.assert_array_equal(whole.numeric, np.tile(data.numeric, (2, 1)))
    np.testing.assert_array_equal(whole.categorical, np.tile(data.categorical, (2, 1)))
    assert {len(part.labels) for part in parts} == {1 if labels else 0}
    if labels:
        np.testing.assert_array_equal(np.concatenate([part.labels["y"] for part in parts]), [*table["y"], *table["y"]])


def test_in_a_single_column_an_empty_line_is_a_missing_value(tmp_path):
    write(tmp_path, "train.csv", {"c": ["a", "b"], "y": [0, 1]})
    columns = fit_columns(simple(inputs=CITY), tmp_path)
    (tmp_path / "new.csv").write_text("c\nb\n\na\n")
    assert read_rows(columns, tmp_path, ["new.csv"], labels=False).categorical[:, 0].tolist() == [2, 0, 1]


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_a_column_may_be_two_labels(tmp_path):
    write(tmp_path, "train.csv")
    labels = {
        "click": LabelColumn(columns=("plan",), positive="c"),
        "spend": LabelColumn(columns=("spend",)),
        "plan": LabelColumn(columns=("plan",)),
    }
    _, data = encoded(tmp_path, experiment(labels=labels))
    assert data.labels["click"].tolist() == [0, 0, 1, 0, 0, 1]
    assert data.labels["plan"].tolist() == [1, 0, 2, 0, 1, 2]
    assert [array.dtype.name for array in arrays(data)[3:]] == ["float32", "float64", "int32"]
