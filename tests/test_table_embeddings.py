"""Embeddings that a file gives: vocabulary, starting parameters, errors."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom.tables.embeddings import read_embeddings, starting_params
from shared_bottom.tables.rows import fit_columns, read_rows
from spec import CategoricalColumn, initial_params
from tests.helpers.builders import rejection
from tests.helpers.table_files import encoded, simple, write

VECTORS = {"value": ["b", "a", "10.0"], "vector": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]}
ROWS = {"c": ["a", "z", "10", "z", "q"], "y": [0, 1, 0, 1, 0]}


def given(folder, vectors=VECTORS, **fields):
    """An experiment on ROWS, whose column c starts from these vectors."""
    parquet.write_table(pa.table(vectors), folder / "vectors.parquet")
    write(folder, "train.csv", ROWS)
    column = CategoricalColumn(**({"name": "c", "dimension": 2, "embeddings": "vectors.parquet"} | fields))
    return simple(inputs=(column,))


def start(folder, spec):
    columns, data = encoded(folder, spec)
    model = columns.model(spec.model)
    return columns, data, model, starting_params(columns, model, spec.train, folder)


def test_frozen_embeddings_are_those_of_the_file_and_0_for_unknown_values(tmp_path):
    spec = given(tmp_path, trainable=False)
    columns, data, model, params = start(tmp_path, spec)
    assert columns.vocabularies == {"c": ("10", "a", "b")}
    assert not model.categorical[0].trainable
    assert data.categorical[:, 0].tolist() == [2, 0, 1, 0, 0]
    np.testing.assert_array_equal(params["embeddings.c"], [[0, 0], [5, 6], [3, 4], [1, 2]])


def test_trained_embeddings_start_from_the_file_and_other_values_as_usual(tmp_path):
    spec = given(tmp_path, minimum_count=2)
    columns, data, model, params = start(tmp_path, spec)
    assert columns.vocabularies == {"c": ("10", "a", "b", "z")}
    assert data.categorical[:, 0].tolist() == [2, 4, 1, 4, 0]
    usual = initial_params(model, seed=spec.train.seed)
    np.testing.assert_array_equal(params["embeddings.c"][1:4], [[5, 6], [3, 4], [1, 2]])
    np.testing.assert_array_equal(params["embeddings.c"][[0, 4]], usual["embeddings.c"][[0, 4]])
    for name in usual.keys() - {"embeddings.c"}:
        np.testing.assert_array_equal(params[name], usual[name])
    assert params["embeddings.c"].dtype == np.float32


def test_without_embeddings_training_starts_as_usual(tmp_path):
    write(tmp_path, "train.csv", ROWS)
    spec = simple(inputs=(CategoricalColumn(name="c"),))
    _, _, model, params = start(tmp_path, spec)
    usual = initial_params(model, seed=spec.train.seed)
    assert params.keys() == usual.keys()
    for name, value in usual.items():
        np.testing.assert_array_equal(params[name], value)


@pytest.mark.parametrize("arrow_type", [pa.list_(pa.float32()), pa.large_list(pa.int64()), pa.list_(pa.float64(), 2)])
def test_vectors_may_be_any_lists_of_numbers(tmp_path, arrow_type):
    vectors = VECTORS | {"vector": pa.array(VECTORS["vector"]).cast(arrow_type)}
    params = start(tmp_path, given(tmp_path, vectors, trainable=False))[-1]
    np.testing.assert_array_equal(params["embeddings.c"], [[0, 0], [5, 6], [3, 4], [1, 2]])


def test_columns_that_share_a_table_share_its_embeddings(tmp_path):
    parquet.write_table(pa.table(VECTORS), tmp_path / "v.parquet")
    write(tmp_path, "t.parquet", {"c": ["a", "z"], "d": [["b"], ["a", "q"]], "y": [0, 1]})
    shared = {"dimension": 2, "table": "page", "embeddings": "v.parquet", "trainable": False}
    inputs = (CategoricalColumn(name="c", **shared), CategoricalColumn(name="d", length=2, **shared))
    _, data, _, params = start(tmp_path, simple(("t.parquet",), inputs=inputs))
    np.testing.assert_array_equal(params["embeddings.page"], [[0, 0], [5, 6], [3, 4], [1, 2]])
    assert data.categorical.tolist() == [[2, 3, -1], [0, 2, 0]]


def test_a_text_that_is_missing_in_a_table_may_be_a_value_of_the_file(tmp_path):
    spec = given(tmp_path, VECTORS | {"value": ["NA", "a", "null"]}, trainable=False)
    assert fit_columns(spec, tmp_path).vocabularies == {"c": ("NA", "a", "null")}


def test_rows_are_read_without_the_file(tmp_path):
    spec = given(tmp_path)
    columns = fit_columns(spec, tmp_path)
    (tmp_path / "vectors.parquet").unlink()
    assert read_rows(columns, tmp_path, spec.data.train).categorical[:, 0].tolist() == [2, 5, 1, 5, 4]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"value": ["b", "a", None]}, "column 'value', row 3: expected a value, got None"),
        ({"value": ["b", "10", "10.0"]}, "column 'value', row 3: expected distinct values, got '10.0'"),
        (
            {"vector": [[1.0, 2.0], [3.0], [5.0, 6.0]]},
            "column 'vector', row 2: expected a vector of 2 numbers, got [3.0]",
        ),
        (
            {"vector": [[1.0, 2.0], None, [5.0, 6.0]]},
            "column 'vector', row 2: expected a vector of 2 numbers, got None",
        ),
        *(
            (
                {"vector": [[1.0, 2.0], [3.0, 4.0], [5.0, number]]},
                f"column 'vector', row 3: expected a vector of numbers that fit float32, got [5.0, {number}]",
            )
            for number in (None, float("inf"), float("nan"), 1e39)
        ),
        ({"vector": [1.0, 2.0, 3.0]}, "column 'vector': expected lists of numbers, got double"),
        ({"vector": [["x"], ["y"], ["z"]]}, "column 'vector': expected lists of numbers, got list<element: string>"),
        ({"third": [1, 2, 3]}, "expected rows of two columns, got 3 rows of 3"),
        ({"value": pa.array([], pa.string()), "vector": []}, "expected rows of two columns, got 0 rows of 2"),
    ],
)
def test_a_file_that_gives_no_embeddings_is_named(tmp_path, changed, message):
    spec = given(tmp_path, VECTORS | changed)
    assert rejection(fit_columns, spec, tmp_path) == f"{tmp_path / 'vectors.parquet'}: {message}"


@pytest.mark.parametrize("values", [["b", "a", "10"], [7, 3, 10]], ids=["texts", "numbers"])
def test_a_numpy_file_gives_what_a_parquet_file_gives(tmp_path, values):
    vectors = np.array(VECTORS["vector"])
    table = np.zeros(3, [("value", np.asarray(values).dtype), ("vector", "f4", (2,))])
    table["value"], table["vector"] = values, vectors
    np.save(tmp_path / "vectors.npy", table)
    parquet.write_table(pa.table({"value": values, "vector": vectors.tolist()}), tmp_path / "vectors.parquet")
    data = simple().data
    read = [read_embeddings(tmp_path / name, 2, data) for name in ("vectors.npy", "vectors.parquet")]
    assert read[0].values == read[1].values == [str(value) for value in values]
    np.testing.assert_array_equal(read[0].vectors, read[1].vectors)


@pytest.mark.parametrize("content", [b"none", b"\x93NUMPY", None], ids=["none", "begun", "objects"])
def test_a_numpy_file_that_is_none_is_named(tmp_path, content):
    path = tmp_path / "vectors.npy"
    np.save(path, np.array([{}], object), allow_pickle=True) if content is None else path.write_bytes(content)
    line = rejection(read_embeddings, path, 2, simple().data)
    assert line.startswith(f"{path}: expected a Parquet or a NumPy file of embeddings, got: ")


def test_a_file_that_is_none_is_named(tmp_path):
    spec = given(tmp_path)
    path = tmp_path / "vectors.parquet"
    path.write_text("value,vector\n")
    assert rejection(fit_columns, spec, tmp_path).startswith(
        f"{path}: expected a Parquet or a NumPy file of embeddings, got: "
    )
    path.unlink()
    assert rejection(fit_columns, spec, tmp_path).startswith(
        f"{path}: expected a Parquet or a NumPy file of embeddings, got: "
    )


@pytest.mark.parametrize("trainable", [True, False])
def test_a_file_that_has_changed_since_is_noticed(tmp_path, trainable):
    spec = given(tmp_path, trainable=trainable)
    columns = fit_columns(spec, tmp_path)
    given(tmp_path, VECTORS | {"value": ["b", "new", "10"]})
    said = rejection(starting_params, columns, columns.model(spec.model), spec.train, tmp_path)
    assert said == "embeddings of table 'c': expected the values of the vocabulary, got other ones"
