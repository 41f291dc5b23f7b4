"""Embeddings that a file gives: its values belong to the vocabulary, and training starts from its vectors.

Only a run that starts needs the file. Afterwards the values are in `FittedColumns` and the vectors in the parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shared_bottom.tables.blocks import Block
from shared_bottom.tables.columns import FittedColumns, identifier
from spec.model import ModelSpec
from spec.params import Params, initial_params
from spec.table import TableSpec
from spec.training import TrainSpec
from spec.validation import one_line


class Embeddings(NamedTuple):
    """V values and a vector for each."""

    values: list[str]
    """V distinct values in their canonical form."""
    vectors: np.ndarray
    """float64 (V, dimension)."""


def read_embeddings(path: Path, dimension: int, data: TableSpec) -> Embeddings:
    """The values and vectors in a file of two columns, of which the first has the values and the second the vectors.

    path: the file: Parquet or, if it begins as a .npy file does, a structured NumPy array of two fields.
    dimension: the width of a vector.
    data: the table whose values they are. Its texts that stand for a missing value are values here.

    Raises ValueError, in one line that names the file, if it cannot be read, if a value is missing or occurs twice, or
    if a vector is not a list of `dimension` numbers that float32 can hold.
    """
    try:
        table = (_read_npy if _is_npy(path) else parquet.read_table)(path).combine_chunks()
    except (pa.ArrowException, OSError, ValueError) as error:
        expected = "a Parquet or a NumPy file of embeddings"
        raise ValueError(f"{path}: expected {expected}, got: {one_line(error)}") from error
    if table.num_columns != 2 or not table.num_rows:
        raise ValueError(f"{path}: expected rows of two columns, got {table.num_rows} rows of {table.num_columns}")
    block = Block(
        path=path,
        row_numbers=np.arange(1, table.num_rows + 1),
        columns={name: column.combine_chunks() for name, column in zip(table.column_names, table.columns, strict=True)},
        data=data,
    )
    values, vectors = table.column_names
    return Embeddings(_values(block, values), _vectors(block, vectors, dimension))


def given_values(
    data: TableSpec, folder: Path, known: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> dict[str, Sequence[str]]:
    """By the name of the embedding table: the values in the file of its embeddings, if it has one.

    data: the table, whose columns name the files.
    folder: the folder that the paths of these files are relative to.
    known: the values that an earlier call returned. Their files are not read again, and need not exist.

    Raises ValueError as `read_embeddings` does.
    """
    return {
        table: known[table] if table in known else read_embeddings(folder / path, dimension, data).values
        for table, (path, dimension) in _paths(data).items()
    }


def with_given_values(columns: FittedColumns, given: Mapping[str, Sequence[str]]) -> FittedColumns:
    """What was learnt from the training rows, with the values of given embeddings in the vocabularies of their tables.

    columns: what was learnt from the training rows alone.
    given: what `given_values` returned. In a table that is not trained, the vocabulary has no other values.
    """
    trainable = {column.table_name: column.trainable for column in columns.data.categorical}
    vocabularies = {
        table: tuple(sorted({*values, *(columns.vocabularies[table] if trainable[table] else ())}))
        for table, values in given.items()
    }
    return replace(columns, vocabularies=columns.vocabularies | vocabularies)


def starting_params(columns: FittedColumns, model: ModelSpec, train: TrainSpec, folder: Path) -> Params:
    """The parameters that training starts from: the initial ones of the seed, and embeddings from files where given.

    columns: what was learnt from the training rows.
    model: the network, with the columns as its inputs.
    train: its seed and its precision are used.
    folder: the folder that the paths of the embeddings' files are relative to.

    In a table that is not trained, the row of unknown values is 0. Raises ValueError as `read_embeddings` does, or if a
    file has other values than when the columns were learnt.
    """
    params = initial_params(model, seed=train.seed, precision=train.precision)
    trainable = {column.table_name: column.trainable for column in columns.data.categorical}
    for table, (path, dimension) in _paths(columns.data).items():
        given = read_embeddings(folder / path, dimension, columns.data)
        ids = {value: number for number, value in enumerate(columns.vocabularies[table], start=1)}
        unknown = [value for value in given.values if value not in ids]
        if unknown or not (trainable[table] or len(ids) == len(given.values)):
            raise ValueError(f"embeddings of table {table!r}: expected the values of the vocabulary, got other ones")
        embedding = params[f"embeddings.{identifier(table)}"]
        embedding[[ids[value] for value in given.values]] = given.vectors
        if not trainable[table]:
            embedding[0] = 0
    return params


def _paths(data: TableSpec) -> dict[str, tuple[str, int]]:
    """By the name of the embedding table: the file of its embeddings, if it has one, and their dimension."""
    return {
        column.table_name: (column.embeddings, column.dimension)
        for column in data.categorical
        if column.embeddings is not None
    }


def _is_npy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"\x93NUMPY"


def _read_npy(path: Path) -> Any:
    """The fields of a structured array (V,) as a pyarrow table; a field of vectors becomes a column of lists."""
    array = np.load(path, allow_pickle=False)
    fields = {name: array[name] for name in array.dtype.names or ()}
    return pa.table({name: list(field) if field.ndim > 1 else field for name, field in fields.items()})


def _values(block: Block, name: str) -> list[str]:
    texts, codes = block.texts(name, missing=())
    values = [None if code < 0 else texts[code] for code in codes.tolist()]
    block.reject(name, np.array([value is None for value in values]), "a value")
    rows: dict[str | None, int] = {}
    block.reject(name, np.array([rows.setdefault(v, row) != row for row, v in enumerate(values)]), "distinct values")
    return [value for value in values if value is not None]


def _vectors(block: Block, name: str, dimension: int) -> np.ndarray:
    """float64 (V, dimension)."""
    array = block.columns[name]
    try:
        lists = array.cast(pa.large_list(pa.float64()))
    except pa.ArrowException as error:
        raise ValueError(f"{block.path}: column {name!r}: expected lists of numbers, got {array.type}") from error
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    block.reject(name, lengths != dimension, f"a vector of {dimension} numbers")
    vectors: np.ndarray = pc.list_flatten(lists).to_numpy(zero_copy_only=False).reshape(-1, dimension)
    fits = np.abs(vectors) <= np.finfo(np.float32).max  # NaN, a missing number, does not
    block.reject(name, ~fits.all(axis=1), "a vector of numbers that fit float32")
    return vectors
