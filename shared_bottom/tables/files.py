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

from shared_bottom.tables.blocks import Block
from shared_bottom.tables.checks import check_names
from shared_bottom.tables.contents import FORMATS, file_format
from shared_bottom.tables.csv_files import csv_batches
from shared_bottom.tables.parquet_files import BATCH_ROWS, parquet_batches
from shared_bottom.tables.paths import check_file
from spec.table import TableSpec
from spec.validation import one_line


def read_blocks(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Block]:
    """The rows of a file in their order, block by block.

    data: the file's format, the texts that stand for a missing value, and the memory that reading may use.
    path: the file.
    names: the columns to read; the blocks have these columns only.

    No block is empty. Raises ValueError if the file does not exist, cannot be parsed or lacks one of the columns.
    """
    check_file(path)
    with _error_in_one_line(path, "a file"):
        kind = file_format(data, path)
    readers = {"csv": csv_batches, "parquet": parquet_batches, "arrow": _arrow_batches}
    expected = next((name for other, name in FORMATS.values() if other == kind), "a CSV file in UTF-8")
    yield from numbered(
        data, path, _guarded(readers[kind](data, path, names), path, expected), names, typed=kind != "csv"
    )


def numbered(
    data: TableSpec, path: Path | str, batches: Iterable[Any], names: Sequence[str], *, typed: bool
) -> Iterator[Block]:
    """Batches as blocks whose rows are numbered from 1: none is empty, and none has more than BATCH_ROWS rows.

    data: what the table says of its columns.
    path: the file that the batches come from, or what error messages call it.
    batches: pyarrow batches.
    names: the names of their columns.
    typed: see `Block.typed`.
    """
    rows_read = 0
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            columns = dict(zip(names, part.columns, strict=True))
            row_numbers = np.arange(rows_read + 1, rows_read + part.num_rows + 1)
            yield Block(path=path, row_numbers=row_numbers, columns=columns, data=data, typed=typed)
            rows_read += part.num_rows


def _guarded(batches: Iterator[Any], path: Path, expected: str) -> Iterator[Any]:
    while True:
        with _error_in_one_line(path, expected):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _arrow_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    with pa.memory_map(str(path)) as content, pa.ipc.open_file(content) as file:
        check_names(path, names, file.schema.names)
        for i in range(file.num_record_batches):
            batch = file.get_batch(i).select(list(names))
            batch.validate(full=True)
            yield batch


@contextmanager
def _error_in_one_line(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # by the system, and not by pyarrow
            raise ValueError(f"{path}: expected a file that can be read, got: {os.strerror(error.errno)}") from error
        raise ValueError(f"{path}: expected {kind}, found {one_line(error)}") from error
