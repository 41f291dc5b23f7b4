"""Tables in memory: the rows, the ids and the errors are those of the same table in a file."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from shared_bottom.tables.rows import fit_columns, read_rows, stream_rows
from shared_bottom.tables.training import read_table
from spec import CategoricalColumn, LabelColumn, NumericColumn
from tests.helpers.builders import rejection
from tests.helpers.table_files import COLUMNS, assert_equal, encoded, experiment, simple, with_data, write

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")  # the tables are tiny

KINDS = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "batch": pa.RecordBatch.from_pydict,
    "dict": dict,
    "dicts": lambda columns: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    "arrays": lambda columns: {name: np.array(values) for name, values in columns.items()},
    "reader": lambda columns: pa.table(columns).to_reader(),
}
CATEGORY = (CategoricalColumn(name="c"),)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"arrays"}))
def test_a_table_in_memory_is_the_same_as_in_a_file(tmp_path, kind):
    write(tmp_path, "train.parquet")
    spec = experiment(("train.parquet",), validation_fraction=0.4, seed=2)
    columns, expected = encoded(tmp_path, spec, "training")
    aside = read_rows(columns, tmp_path, "train.parquet", "validation")
    for data in (spec, with_data(spec, train=())):
        learnt = fit_columns(data, KINDS[kind](COLUMNS))
        assert learnt.numeric == columns.numeric
        assert learnt.vocabularies == columns.vocabularies
        assert_equal(read_rows(columns, KINDS[kind](COLUMNS), subset="training"), expected)
        assert_equal(read_rows(columns, KINDS[kind](COLUMNS), subset="validation"), aside)
        for part, whole in zip(read_table(data, KINDS[kind](COLUMNS))[1:], (expected, aside), strict=True):
            assert_equal(part, whole)
    (part,) = stream_rows(columns, pa.table(COLUMNS), labels=True)
    assert_equal(part, read_rows(columns, tmp_path, "train.parquet"))


def frame(values, dtype=None, **options):
    return pd.DataFrame({"v": pd.Series(values, dtype=dtype), "y": [0, 1, 1]}, **options)


TEXTS = ["a", None, "b"]
CASES = {
    "pandas object": (frame(["a", None, "b"], object), TEXTS),
    "pandas object with NaN": (frame(["a", float("nan"), "b"], object), TEXTS),
    "pandas string": (frame(["a", pd.NA, "b"], "string"), TEXTS),
    "pandas category": (frame(["a", None, "b"], "category"), TEXTS),
    "pandas category of numbers": (frame([7, None, 5], "category"), ["7", None, "5"]),
    "pandas Int64": (frame([3, None, 1], "Int64"), ["3", None, "1"]),
    "pandas float": (frame([3, None, 1], "float64"), ["3", None, "1"]),
    "pandas boolean": (frame([True, None, False], "boolean"), ["true", None, "false"]),
    "pandas without a value": (frame([None, None, None], object), [None] * 3),
    "pandas index": (frame(["a", None, "b"], object).set_index(pd.Index([9, 9, 7], name="v")), TEXTS),
    "polars": (pl.DataFrame({"v": TEXTS, "y": [0, 1, 1]}), TEXTS),
    "polars Categorical": (pl.DataFrame({"v": pl.Series(TEXTS, dtype=pl.Categorical), "y": [0, 1, 1]}), TEXTS),
    "polars Enum": (pl.DataFrame({"v": pl.Series(TEXTS, dtype=pl.Enum(["b", "a", "z"])), "y": [0, 1, 1]}), TEXTS),
    "polars Date": (
        pl.DataFrame({"v": [datetime.date(2024, 1, 5), None, datetime.date(2023, 1, 5)], "y": [0, 1, 1]}),
        ["2024-01-05", None, "2023-01-05"],
    ),
    "dict of polars columns": ({"v": pl.Series(TEXTS), "y": pl.Series([0, 1, 1])}, TEXTS),
    "dict of pandas columns": ({"v": pd.Series(TEXTS), "y": np.array([0, 1, 1])}, TEXTS),
    "dict of pyarrow columns": ({"v": pa.chunked_array([["a"], [None, "b"]]), "y": pa.array([0, 1, 1])}, TEXTS),
    "dict of NumPy texts": ({"v": np.array(["a", "", "b"]), "y": np.array([False, True, True])}, TEXTS),
    "masked array": ({"v": np.ma.array([3, 2, 1], mask=[0, 1, 0]), "y": [0, 1, 1]}, ["3", None, "1"]),
    "tuples": ({"v": ("a", None, "b"), "y": (0, 1, 1)}, TEXTS),
}


@pytest.mark.parametrize("name", CASES)
def test_a_category_is_its_text_whatever_the_type_of_the_column(tmp_path, name):
    table, texts = CASES[name]
    spec = simple(("train.csv",), inputs=(CategoricalColumn(name="v"),))
    write(tmp_path, "train.csv", {"v": texts, "y": [0, 1, 1]})
    columns, expected = encoded(tmp_path, spec)
    learnt = fit_columns(spec, table)
    assert learnt.vocabularies == columns.vocabularies
    assert_equal(read_rows(learnt, table), expected)


@pytest.mark.parametrize("name", ["pandas Int64", "pandas float", "masked array", "pandas without a value"])
def test_a_number_may_have_any_type(name):
    table, texts = CASES[name]
    spec = simple(numeric=(NumericColumn(name="v", standardise=False),))
    columns = fit_columns(spec, CASES["pandas float"][0])
    expected = [[3, 0], [2, 1], [1, 0]] if any(texts) else [[2, 1]] * 3
    np.testing.assert_array_equal(read_rows(columns, table).numeric, expected)


def test_columns_may_have_names_that_are_no_texts_and_others_any_type():
    table = pd.DataFrame({0: [1.0, 2.0], 1: [0, 1], 2: [{"a": 1}, "b"], (3, 4): [1j, 2]})
    spec = simple(numeric=(NumericColumn(name="0"),), label=LabelColumn(columns=("1",)))
    assert read_rows(fit_columns(spec, table), table).rows == 2


def test_a_large_table_comes_in_blocks_within_its_rows():
    rows = 150_000
    table = {"x": np.arange(rows, dtype=float), "c": np.arange(rows) % 7, "y": np.arange(rows) % 2}
    spec = simple(categorical=CATEGORY, validation_fraction=0.25)
    columns, training, validation = read_table(spec, table)
    assert training.rows + validation.rows == rows
    parts = list(stream_rows(columns, pa.table(table)))
    assert len(parts) == 3
    np.testing.assert_array_equal(np.concatenate([part.categorical[:, 0] for part in parts]), table["c"] + 1)


ONE_TYPE = "the table in memory: column 'c': expected values of one type, got others"
GOOD = {"x": [1.5, 2.5, 4.0], "c": ["a", "b", "a"], "y": [0, 1, 1]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (GOOD | {"x": [1, 2, "3x"]}, "the table in memory: column 'x': expected values of one type, got others ("),
        (
            pd.DataFrame(GOOD | {"c": ["a", 1, None]}),
            "the table in memory: column 'c': expected values of one type, got",
        ),
        (GOOD | {"x": ["1", "2", "3x"]}, "the table in memory: column 'x', row 3: expected a number, got '3x'"),
        (
            pl.DataFrame(GOOD | {"x": [1.0, 2.0, np.inf]}),
            "the table in memory: column 'x', row 3: expected a finite number",
        ),
        (GOOD | {"y": [0, 1, 2]}, "the table in memory: column 'y', row 3: expected 0, 1, false or true"),
        ({"x": [1], "y": [0]}, "the table in memory: expected a column 'c', found x, y"),
        (
            pd.DataFrame(np.zeros((2, 4)), columns=["x", "c", "y", "x"]),
            "the table in memory: expected a column 'x', found it twice",
        ),
        (
            pd.DataFrame(np.zeros((2, 4)), columns=["x", "c", "y", "x"]).T.T,
            "the table in memory: expected a column 'x'",
        ),
        (
            pa.table([pa.array([1])] * 4, names=["x", "c", "y", "c"]),
            "the table in memory: expected a column 'c', found it twice",
        ),
        (GOOD | {"c": ["a"]}, "the table in memory: expected columns of one length, got {'x': 3, 'c': 1, 'y': 3}"),
        (GOOD | {"c": "aba"}, "the table in memory: column 'c': expected a list with a value for each row, got 'aba'"),
        (GOOD | {"c": 3}, "the table in memory: column 'c': expected a list with a value for each row, got 3"),
        ([{"x": 1.5, "y": 0}, {"y": 1}], "the table in memory: expected a column 'c', found x, y"),
        (
            [{"x": 1.5, "c": "a", "y": 0}, 3],
            "rows: expected the names of files, a data frame, a pyarrow table, a dict of",
        ),
        (GOOD | {"x": np.zeros((3, 2))}, "the table in memory: column 'x': expected values of one type, got others ("),
        (GOOD | {"x": [10**30, 1, 1]}, "the table in memory: column 'x': expected values of one type, got others ("),
        (GOOD | {"x": [[1], [2], [3]]}, "the table in memory: column 'x': expected numbers, got list"),
        ({name: [] for name in GOOD}, "the table in memory: expected training rows, got none"),
        (
            pl.DataFrame(GOOD).lazy(),
            "rows: expected the names of files, a data frame, a pyarrow table, a dict of columns or a list of dicts, "
            "got LazyFrame; its method collect() returns a data frame",
        ),
        *(
            (kind(GOOD | {"c": pl.Series([1, 2, 3], dtype=pl.Object)}), f"{ONE_TYPE} (the dtype Object of polars")
            for kind in (dict, pl.DataFrame)
        ),
        ([GOOD], "the table in memory: column 'x': expected numbers, got list"),
        (
            np.zeros((3, 3)),
            "rows: expected the names of files, a data frame, a pyarrow table, a dict of columns or a list of",
        ),
    ],
)
def test_what_is_wrong_with_a_table_in_memory_is_one_line(table, message):
    spec = simple(("elsewhere.csv",), categorical=CATEGORY)
    assert rejection(lambda: read_rows(fit_columns(spec, table), table)).startswith(message)
    assert rejection(read_table, spec, table).startswith(message)
