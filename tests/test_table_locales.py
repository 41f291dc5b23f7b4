"""Numbers that are texts: booleans, decimal commas, and what stands between thousands."""

import numpy as np
import pyarrow as pa
import pytest

from shared_bottom.tables.rows import fit_columns, read_rows
from spec import CategoricalColumn, NumericColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import block_of, encoded, simple, write

NAN = float("nan")


def test_booleans_in_a_csv_are_the_numbers_1_and_0(tmp_path):
    values = ["True", "false", "TRUE", "0.5", "", "False", "true", "FALSE"]
    write(tmp_path, "train.csv", {"x": values, "y": values[:2] + values[:6]})
    spec = simple(kind="regression", numeric=(NumericColumn(name="x", standardise=False),))
    _, data = encoded(tmp_path, spec)
    assert data.numeric[:, 0].tolist() == pytest.approx([1, 0, 1, 0.5, 3.5 / 7, 0, 1, 0])
    write(tmp_path, "bad.csv", {"x": ["True", "yes"]})
    columns = fit_columns(spec, tmp_path)
    line = rejection(read_rows, columns, tmp_path, ["bad.csv"], labels=False)
    assert line.endswith("column 'x', row 2: expected a number, got 'yes'")


@pytest.mark.parametrize(
    ("decimal", "thousands", "texts", "numbers"),
    [
        (",", None, ["1,5", "-2", "3e-1", "-999,0", "True"], [1.5, -2, 0.3, NAN, 1]),
        (",", ".", ["1.234,5", "1.000.000", "-999", "0,5"], [1234.5, 1e6, NAN, 0.5]),
        (".", ",", ["1,234.5", "12,345", "-1,000", "7"], [1234.5, 12345, -1000, 7]),
        (".", "'", ["1'234.5", "-999.00"], [1234.5, NAN]),
        (",", " ", ["1 234,5", "1\u00a0234", "1\u202f234"], [1234.5, 1234, 1234]),
    ],
)
def test_numbers_may_be_written_as_in_other_countries(tmp_path, decimal, thousands, texts, numbers):
    block = block_of(pa.array(texts), missing=("-999",), decimal=decimal, thousands=thousands, delimiter=";")
    np.testing.assert_array_equal(block.numbers("c"), numbers)


@pytest.mark.parametrize(
    ("decimal", "thousands", "text"),
    [
        (",", None, "1.5"),
        (",", ".", "1.5"),
        (".", ",", "1,5"),
        (".", ",", "1,2345"),
        (",", ".", "1,234.5"),
        (".", "_", "_1"),
    ],
)
def test_a_number_that_is_written_otherwise_is_an_error(decimal, thousands, text):
    block = block_of(pa.array(["1", text]), decimal=decimal, thousands=thousands, delimiter=";")
    assert rejection(block.numbers, "c") == f"rows.parquet: column 'c', row 2: expected a number, got {text!r}"


def test_a_decimal_comma_in_a_category_a_label_and_a_weight(tmp_path):
    (tmp_path / "train.csv").write_text("x;c;y;w\n1,5;3,0;2,5;0,5\n2,5;1,5;3,5;1\n")
    spec = simple(kind="regression", categorical=(CategoricalColumn(name="c"),), weight="w", decimal=",", delimiter=";")
    columns, data = encoded(tmp_path, spec)
    assert columns.vocabularies["c"] == ("1.5", "3")
    assert (columns.numeric["x"].mean, columns.labels["y"][0].mean) == (2, 3)
    assert data.sample_weight.tolist() == [0.5, 1]
