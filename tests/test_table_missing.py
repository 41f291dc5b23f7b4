"""What stands for a missing value, in every kind of column, in every type and in both formats."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from spec import CategoricalColumn, LabelColumn, NumericColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import block_of, encoded, simple, texts_of, write

NAN = float("nan")

MISSING_TEXTS = ["", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None", " NA "]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_missing_texts_are_missing_in_every_kind_of_column_and_file(tmp_path, name):
    rows = len(MISSING_TEXTS)
    columns = {
        "x": ["1", "3", *MISSING_TEXTS],
        "c": ["a", "b", *MISSING_TEXTS],
        "y": ["n", "s", *MISSING_TEXTS],
    }
    write(tmp_path, name, columns)
    fitted, data = encoded(tmp_path, simple((name,), kind="multiclass", categorical=(CategoricalColumn(name="c"),)))
    assert fitted.vocabularies["c"] == ("a", "b")
    assert fitted.classes["y"] == ("n", "s")
    assert data.numeric[:, 1].tolist() == [0, 0] + [1] * rows
    assert data.categorical[:, 0].tolist() == [1, 2] + [0] * rows
    assert data.labels["y"].tolist() == [0, 1] + [-1] * rows


NUMBERS = [-999, 1, 5, 3]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(NUMBERS),
        pa.array(NUMBERS, pa.int16()),
        pa.array([float(n) for n in NUMBERS]),
        pa.array(NUMBERS, pa.float32()),
        pa.array([Decimal(n) for n in NUMBERS]),
        pa.array(NUMBERS).dictionary_encode(),
        pa.array(["-999.0", "1", "5", "3"]),
        pa.array([" -999 ", "1.0", "5", "3"]),
        pa.array(["-9.99e+02", "1", "5", "3"]),
    ],
    ids=lambda array: f"{array.type} {array[0]}",
)
@pytest.mark.parametrize("missing", ["-999", "-999.0"])
def test_a_missing_text_that_is_a_number_is_also_that_number(array, missing):
    block = block_of(array, missing=(missing,))
    np.testing.assert_array_equal(block.numbers("c"), [NAN, 1, 5, 3])
    assert texts_of(block) == [None, "1", "5", "3"]
    other = block_of(array)
    np.testing.assert_array_equal(other.numbers("c", missing=(missing,)), [NAN, 1, 5, 3])
    assert texts_of(other) == ["-999", "1", "5", "3"]


def test_a_missing_text_that_is_a_date_is_also_that_date():
    dates = pa.array([datetime.date(1900, 1, 1), datetime.date(2024, 1, 5)])
    for array in (dates, dates.cast(pa.timestamp("ns")), dates.cast(pa.string())):
        block = block_of(array, missing=("1900-01-01",))
        assert texts_of(block) == [None, "2024-01-05"]
        assert np.isnat(block.times("c")).tolist() == [True, False]


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_each_column_may_have_missing_texts_of_its_own(tmp_path):
    write(tmp_path, "train.csv", {"x": ["NA", "3", "?"], "c": ["NA", "ZA", "?"], "y": ["a", "b", "NA"]})
    spec = simple(
        kind="multiclass",
        numeric=(NumericColumn(name="x", missing=("?", "NA")),),
        categorical=(CategoricalColumn(name="c", missing=("?",)),),
        label=LabelColumn(columns=("y",), missing=()),
        missing=("b",),
    )
    columns, data = encoded(tmp_path, spec)
    assert data.numeric[:, 1].tolist() == [1, 0, 1]
    assert columns.vocabularies["c"] == ("NA", "ZA")
    assert columns.classes["y"] == ("NA", "a", "b")


def test_a_missing_number_is_missing_in_labels_and_is_no_weight(tmp_path):
    write(tmp_path, "train.parquet", {"x": [1, 2, 3], "y": [-999.0, 1.0, 2.0], "w": [1.0, -999.0, 1.0]})
    spec = simple(("train.parquet",), kind="regression", missing=("-999",))
    columns, data = encoded(tmp_path, spec)
    assert (columns.labels["y"][0].mean, np.isnan(data.labels["y"][:, 0]).tolist()) == (1.5, [True, False, False])
    weighted = simple(("train.parquet",), kind="regression", missing=("-999",), weight="w")
    assert "column 'w', row 2: expected a weight of 0 or more" in rejection(encoded, tmp_path, weighted)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_missing_number_is_missing_in_narrow_types_too(kind):
    block = block_of(pa.array(np.array([-99.9, 1.5], kind)), missing=("-99.90", "1e300"))
    np.testing.assert_array_equal(block.numbers("c"), [NAN, 1.5])
    assert texts_of(block) == [None, "1.5"]
    infinite = block_of(pa.array(np.array([np.inf], kind)), missing=("1e300",))
    assert rejection(infinite.numbers, "c") == "rows.parquet: column 'c', row 1: expected a finite number, got inf"


@pytest.mark.parametrize("array", [pa.array([-1e20, 7.0]), pa.array(["-1e+20", "7.0"])], ids=["double", "string"])
def test_a_missing_value_may_be_of_any_size(array):
    block = block_of(array, missing=("-1e+20",))
    assert texts_of(block) == [None, "7"]
    np.testing.assert_array_equal(block.numbers("c"), [NAN, 7])
