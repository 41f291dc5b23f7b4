"""Embeddings that a file gives: its values belong to the vocabulary, and training starts from its vectors.

Only a run that starts needs the file. Afterwards the values are in `FittedColumns` and the vectors in the parameters.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shared_bottom.tables.columns import FittedColumns, identifier
from shared_bottom.tables.values import canonical
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


def read_embeddings(path: Path, dimension: int) -> Embeddings:
    """The values and vectors in a Parquet file, whose first column has the values and whose second has the vectors.

    Raises ValueError, in one line that names the file, if it cannot be read, if a value is missing or occurs twice, or
    if a vector is not a list of `dimension` numbers that float32 can hold.
    """
    try:
        table = parquet.read_table(path).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: expected a Parquet file of embeddings, got: {one_line(error)}") from error
    if table.num_columns != 2 or not table.num_rows:
        raise ValueError(f"{path}: expected rows of two columns, got {table.num_rows} rows of {table.num_columns}")
    return Embeddings(_values(path, table.column(0)), _vectors(path, table.column(1), dimension))


def given_values(data: TableSpec, folder: Path) -> dict[str, list[str]]:
    """By the name of the embedding table: the values in the file of its embeddings, if it has one.

    folder: the folder that the paths of these files are relative to.

    Raises ValueError as `read_embeddings` does.
    """
    return {table: given.values for table, given in _given(data, folder).items()}


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
    for table, given in _given(columns.data, folder).items():
        ids = {value: number for number, value in enumerate(columns.vocabularies[table], start=1)}
        unknown = [value for value in given.values if value not in ids]
        if unknown or not (trainable[table] or len(ids) == len(given.values)):
            raise ValueError(f"embeddings of table {table!r}: expected the values of the vocabulary, got other ones")
        embedding = params[f"embeddings.{identifier(table)}"]
        embedding[[ids[value] for value in given.values]] = given.vectors
        if not trainable[table]:
            embedding[0] = 0
    return params


def _given(data: TableSpec, folder: Path) -> dict[str, Embeddings]:
    columns = {column.table_name: column for column in data.categorical if column.embeddings is not None}
    return {
        table: read_embeddings(folder / str(column.embeddings), column.dimension) for table, column in columns.items()
    }


def _values(path: Path, column: pa.ChunkedArray) -> list[str]:
    try:
        texts = column.cast(pa.string()).to_pylist()
    except pa.ArrowException as error:
        raise ValueError(f"{path}: expected values in the first column, got {column.type}") from error
    rows: dict[str, int] = {}
    for row, text in enumerate(texts, start=1):
        if text is None:
            raise ValueError(f"{path}: row {row}: expected a value, got none")
        first = rows.setdefault(canonical(text), row)
        if first != row:
            raise ValueError(f"{path}: row {row}: expected distinct values, got {text!r:.100} as in row {first}")
    return list(rows)


def _vectors(path: Path, column: pa.ChunkedArray, dimension: int) -> np.ndarray:
    """float64 (V, dimension)."""
    try:
        lists = column.cast(pa.large_list(pa.float64())).combine_chunks()
    except pa.ArrowException as error:
        raise ValueError(f"{path}: expected lists of numbers in the second column, got {column.type}") from error
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    if (lengths != dimension).any():
        row = int(np.argmax(lengths != dimension))
        raise ValueError(f"{path}: row {row + 1}: expected a vector of {dimension} numbers, got {lengths[row]}")
    numbers = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    vectors: np.ndarray = numbers.astype(np.float64).reshape(-1, dimension)
    wrong = ~(np.abs(vectors) <= np.finfo(np.float32).max)  # written so that NaN, a missing number, is wrong
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise ValueError(f"{path}: row {row + 1}: expected numbers that fit float32, got {vectors[row, place]}")
    return vectors
