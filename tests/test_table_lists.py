"""Columns with a list of values in each row."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.rows import fit_columns, read_rows
from shared_bottom.tables.values import bucket
from spec import CategoricalColumn, CategoricalFeature, from_json, to_json
from tests.helpers.builders import rejection
from tests.helpers.strategies import repeatable
from tests.helpers.table_files import encoded, simple, with_data, write

PAGES = [["b", "a", "c"], ["a"], [], None, ["b", None, "", " c ", "a", "b"]]
IDS = {"last": [[2, 1, 3], [1, -1, -1], [-1] * 3, [-1] * 3, [3, 1, 2]]}
IDS["first"] = [*IDS["last"][:4], [2, 3, 1]]


def pages(**fields):
    return CategoricalColumn(**({"name": "pages", "length": 3, "dimension": 2} | fields))


def written(folder, column, *, arrow_type=None):
    """A Parquet file whose column `pages` has these values."""
    array = pa.array(column, arrow_type) if arrow_type else pa.array(column)
    parquet.write_table(pa.table({"pages": array, "y": [i % 2 for i in range(len(column))]}), folder / "train.parquet")
    return "train.parquet"


LISTS = [
    pa.list_(pa.string()),
    pa.large_list(pa.large_string()),
    pa.list_view(pa.string()),
    pa.list_(pa.dictionary(pa.int8(), pa.string())),
    pa.list_(pa.string_view()),
]


@pytest.mark.parametrize("arrow_type", LISTS, ids=str)
def test_lists_of_any_type_can_be_set_aside(tmp_path, arrow_type):
    lists = [["a"] * (i % 4) for i in range(40)]
    spec = with_data(
        simple((written(tmp_path, lists, arrow_type=arrow_type),), inputs=(pages(),)), validation_fraction=0.3
    )
    columns = fit_columns(spec, tmp_path)
    whole = read_rows(columns, tmp_path, spec.data.train).categorical.tolist()
    assert whole == [[1] * (i % 4) + [-1] * (3 - i % 4) for i in range(40)]
    parts = [read_rows(columns, tmp_path, spec.data.train, part).categorical for part in ("training", "validation")]
    assert sorted(np.concatenate(parts).tolist()) == sorted(whole)


@pytest.mark.parametrize("keep", ["last", "first"])
@pytest.mark.parametrize("arrow_type", LISTS, ids=str)
def test_lists_become_ids_from_the_left(tmp_path, arrow_type, keep):
    spec = simple((written(tmp_path, PAGES, arrow_type=arrow_type),), inputs=(pages(keep=keep),))
    columns, data = encoded(tmp_path, spec)
    assert columns.vocabularies == {"pages": ("a", "b", "c")}
    assert data.categorical.tolist() == IDS[keep]
    assert data.categorical.dtype == np.int32
    feature = CategoricalFeature(name="pages", vocabulary=4, dimension=2, length=3)
    assert columns.model(spec.model).categorical == (feature,)
    data.check(columns.model(spec.model))
    assert from_json(FittedColumns, to_json(columns)) == columns


@pytest.mark.parametrize("keep", ["last", "first"])
@pytest.mark.parametrize(
    ("name", "separator"), [("t.csv", "|"), ("t.parquet", "|"), ("t.csv", ", "), ("t.csv", " "), ("t.parquet", "N/A")]
)
def test_texts_are_divided_at_the_separator(tmp_path, name, separator, keep):
    texts = [None if row is None else separator.join("NA" if v is None else v for v in row) for row in PAGES]
    write(tmp_path, name, {"pages": texts, "y": [0, 1, 0, 1, 0]})
    _, data = encoded(tmp_path, simple((name,), inputs=(pages(keep=keep, separator=separator),)))
    assert data.categorical.tolist() == IDS[keep]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_missing_text_that_has_the_separator_in_it_is_missing(tmp_path, name):
    write(tmp_path, name, {"pages": ["a/b", "N/A", "n/a/b"], "y": [0, 1, 0]})
    columns, data = encoded(tmp_path, simple((name,), inputs=(pages(separator="/"),)))
    assert columns.vocabularies == {"pages": ("a", "b", "n")}
    assert data.categorical.tolist() == [[1, 2, -1], [-1] * 3, [3, 1, 2]]


@pytest.mark.parametrize(
    ("values", "arrow_type", "vocabulary"),
    [
        ([[3, 1], [2]], pa.list_(pa.int64()), ("1", "2", "3")),
        ([[3, 1], [2]], pa.list_(pa.uint8()), ("1", "2", "3")),
        ([[3.0, 1.5], [float("nan"), 2]], pa.list_(pa.float64()), ("1.5", "2", "3")),
        ([[3, 1], [2, None]], pa.list_(pa.int32(), 2), ("1", "2", "3")),
        ([[True, False], [True]], pa.list_(pa.bool_()), ("false", "true")),
    ],
    ids=str,
)
def test_elements_are_compared_as_texts_whatever_their_type(tmp_path, values, arrow_type, vocabulary):
    columns, data = encoded(tmp_path, simple((written(tmp_path, values, arrow_type=arrow_type),), inputs=(pages(),)))
    assert columns.vocabularies == {"pages": vocabulary}
    write(tmp_path, "t.csv", {"pages": ["|".join(str(v) for v in row if v is not None) for row in values], "y": [0, 1]})
    texts = encoded(tmp_path, simple(("t.csv",), inputs=(pages(separator="|"),)))[1]
    np.testing.assert_array_equal(texts.categorical, data.categorical)


def test_a_missing_list_hides_what_lies_under_it(tmp_path):
    lists = pa.ListArray.from_arrays(
        pa.array([0, 2, 3, 4], pa.int32()), pa.array(["a", "b", "c", "d"]), mask=pa.array([False, True, False])
    )
    parquet.write_table(pa.table({"pages": lists, "y": [0, 1, 0]}), tmp_path / "t.parquet")
    columns, data = encoded(tmp_path, simple(("t.parquet",), inputs=(pages(),)))
    assert columns.vocabularies == {"pages": ("a", "b", "d")}
    assert data.categorical.tolist() == [[1, 2, -1], [-1] * 3, [3, -1, -1]]


def test_a_column_without_any_list_is_all_missing(tmp_path):
    name = written(tmp_path, [None, None], arrow_type=pa.null())
    columns, data = encoded(tmp_path, simple((name,), inputs=(pages(),)))
    assert columns.vocabularies == {"pages": ()}
    assert data.categorical.tolist() == [[-1] * 3] * 2


def test_unknown_values_are_there_with_the_id_0(tmp_path):
    spec = simple((written(tmp_path, [["a", "b"], ["a"]]),), inputs=(pages(minimum_count=2),))
    columns, data = encoded(tmp_path, spec)
    assert data.categorical.tolist() == [[1, 0, -1], [1, -1, -1]]
    write(tmp_path, "new.parquet", {"pages": [["z", "a", "z", "z"]]})
    assert read_rows(columns, tmp_path, ["new.parquet"], labels=False).categorical.tolist() == [[1, 0, 0]]


def test_a_list_can_be_hashed(tmp_path):
    column = pages(encoding="hash", buckets=9)
    columns, data = encoded(tmp_path, simple((written(tmp_path, [["a", None, "b"], None]),), inputs=(column,)))
    assert columns.vocabularies == {}
    assert data.categorical.tolist() == [[bucket("a", 9), bucket("b", 9), -1], [-1] * 3]


def test_values_that_are_cut_off_do_not_enter_the_vocabulary(tmp_path):
    name = written(tmp_path, [["a", "b", "c", "d"], ["a"]])
    columns, _ = encoded(tmp_path, simple((name,), inputs=(pages(length=2, minimum_count=1),)))
    assert columns.vocabularies == {"pages": ("a", "c", "d")}


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
@repeatable
@given(
    st.lists(st.none() | st.lists(st.none() | st.sampled_from(["a", "b", " a ", "", "NA", "1", "1.0"])), min_size=1),
    st.integers(2, 5),
    st.sampled_from(["last", "first"]),
)
def test_any_lists_are_those_of_a_plain_loop(tmp_path_factory, rows, length, keep):
    folder = tmp_path_factory.mktemp("lists")
    written(folder, rows, arrow_type=pa.list_(pa.string()))
    column = pages(length=length, keep=keep)
    columns, data = encoded(folder, simple(("train.parquet",), inputs=(column,)))
    kept = []
    for row in rows:
        values = [{"1.0": "1"}.get(v, v.strip()) for v in row or () if v is not None]
        values = [v for v in values if v not in ("", "NA")]
        kept.append(values[-length:] if keep == "last" else values[:length])
    vocabulary = sorted({value for row in kept for value in row})
    assert columns.vocabularies["pages"] == tuple(vocabulary)
    expected = [[vocabulary.index(v) + 1 for v in row] + [-1] * (length - len(row)) for row in kept]
    assert data.categorical.tolist() == expected


@pytest.mark.parametrize(
    ("values", "column", "message"),
    [
        (
            [["a"], ["b"]],
            CategoricalColumn(name="pages"),
            "expected text, numbers or booleans, got list<element: string> (a row of a column of length 1 has one "
            "value)",
        ),
        (["a", "b"], pages(), "expected lists, or texts and a separator, got string (its length is 3)"),
        ([1, 2], pages(), "expected lists, or texts and a separator, got int64 (its length is 3)"),
        (
            [[["a"]], [["b"]]],
            pages(),
            "expected lists of text, numbers or booleans, got list<element: list<element: string>> (the elements are "
            "lists or tables)",
        ),
    ],
)
def test_a_type_that_the_length_does_not_allow_is_named(tmp_path, values, column, message):
    spec = simple((written(tmp_path, values),), inputs=(column,))
    path = tmp_path / "train.parquet"
    assert rejection(fit_columns, spec, tmp_path) == f"{path}: column 'pages': {message}"


def test_a_csv_column_needs_a_separator(tmp_path):
    write(tmp_path, "train.csv", {"pages": ["a|b", "c"], "y": [0, 1]})
    said = rejection(fit_columns, simple(inputs=(pages(),)), tmp_path)
    assert said.endswith("column 'pages': expected lists, or texts and a separator, got string (its length is 3)")
