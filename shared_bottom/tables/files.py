"""Reads a table's files, CSV, Parquet or Arrow, with pyarrow, a block of rows at a time.

A file that cannot be read raises a ValueError of one line, which begins with the file's path.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from shared_bottom.tables.blocks import Block
from shared_bottom.tables.contents import FORMATS, file_format
from shared_bottom.tables.csv_files import check_names, csv_batches
from spec.table import TableSpec
from spec.validation import one_line

PARQUET_COPIES = 16
"""How many times its uncompressed size a Parquet row needs in memory, from being read until it is encoded."""

BATCH_ROWS = 65536
"""The largest number of rows in a batch that is not of a CSV file. Larger batches are not faster."""


def read_blocks(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Block]:
    """The rows of a file in their order, block by block.

    data: the file's format, the texts that stand for a missing value, and the memory that reading may use.
    path: the file.
    names: the columns to read; the blocks have these columns only.

    No block is empty. Raises ValueError if the file does not exist, cannot be parsed or lacks one of the columns.
    """
    if not path.is_file():
        what_it_is = "a folder" if path.is_dir() else "something else" if path.exists() else "none"
        raise ValueError(f"{path}: expected a file, found {what_it_is}")
    with _error_in_one_line(path, "a file"):
        kind = file_format(data, path)
    readers = {"csv": csv_batches, "parquet": _parquet_batches, "arrow": _arrow_batches}
    expected = next((name for other, name in FORMATS.values() if other == kind), "a CSV file in UTF-8")
    yield from numbered(
        data, path, _guarded(readers[kind](data, path, names), path, expected), names, typed=kind != "csv"
    )


def numbered(
    data: TableSpec, path: Path | str, batches: Iterable[Any], names: Sequence[str], *, typed: bool
) -> Iterator[Block]:
    """Batches as blocks whose rows are numbered from 1; empty batches are left out.

    data: what the table says of its columns.
    path: the file that the batches come from, or what error messages call it.
    batches: pyarrow batches.
    names: the names of their columns.
    typed: see `Block.typed`.
    """
    rows_read = 0
    for batch in batches:
        if batch.num_rows:
            columns = dict(zip(names, batch.columns, strict=True))
            row_numbers = np.arange(rows_read + 1, rows_read + batch.num_rows + 1)
            yield Block(path=path, row_numbers=row_numbers, columns=columns, data=data, typed=typed)
            rows_read += batch.num_rows


def _guarded(batches: Iterator[Any], path: Path, expected: str) -> Iterator[Any]:
    while True:
        with _error_in_one_line(path, expected):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _parquet_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    schema = parquet.read_schema(path)
    check_names(path, names, schema.names)
    text_columns = [name for name in names if schema.field(name).type in (pa.string(), pa.large_string())]
    # Without a buffer_size, pyarrow reads the columns of a whole row group at once.
    with parquet.ParquetFile(path, read_dictionary=text_columns, buffer_size=2**16, pre_buffer=False) as file:
        batch_rows = BATCH_ROWS
        for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
            chunks = map(group.column, range(group.num_columns))
            # The path of a list's values is, for example, items.list.element.
            read = tuple(f"{name}." for name in names)
            group_bytes = sum(c.total_uncompressed_size for c in chunks if f"{c.path_in_schema}.".startswith(read))
            row_bytes = group_bytes / max(group.num_rows, 1) + 8 * len(names)
            batch_rows = min(batch_rows, max(1, int(data.memory_mb * 2**20 / PARQUET_COPIES / row_bytes)))
        for batch in file.iter_batches(batch_size=batch_rows, columns=list(names), use_threads=False):
            yield batch.select(list(names))


def _arrow_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    with pa.memory_map(str(path)) as content, pa.ipc.open_file(content) as file:
        check_names(path, names, file.schema.names)
        for i in range(file.num_record_batches):
            batch = file.get_batch(i).select(list(names))
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)


@contextmanager
def _error_in_one_line(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # by the system, and not by pyarrow
            raise ValueError(f"{path}: expected a file that can be read, got: {os.strerror(error.errno)}") from error
        raise ValueError(f"{path}: expected {kind}, found {one_line(error)}") from error
