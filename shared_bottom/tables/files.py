"""Reads a table's files, CSV or Parquet, with pyarrow, a block of rows at a time.

Every CSV column is read as text, and `shared_bottom.tables.blocks` converts it. If pyarrow converted it, it would infer
the column's type from the first rows of the file, and later rows could fail to fit that type. A file that cannot be
read raises a ValueError of one line, which begins with the file's path.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from shared_bottom.tables.blocks import Block
from spec.table import TableSpec
from spec.validation import one_line

CSV_BLOCKS = 128
"""Reading CSV needs as much memory as this number of blocks: pyarrow reads up to 32 blocks ahead, and to parse a block
takes several times the block's size."""

RAGGED = re.compile(
    r"(Row #(?P<line>\d+): )?Expected (?P<expected>\d+) columns, got (?P<got>\d+): (?P<text>.*)", re.DOTALL
)
"""The error message of pyarrow for a row with too many or too few values."""

PARQUET_COPIES = 16
"""How many times its uncompressed size a Parquet row needs in memory, from being read until it is encoded."""

PARQUET_ROWS = 65536
"""The largest number of rows in a Parquet batch. Larger batches are not faster."""


def read_blocks(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Block]:
    """The rows of a file in their order, block by block.

    data: the file's format, the texts that stand for a missing value, and the memory that reading may use.
    path: the file.
    names: the columns to read; the blocks have these columns only.

    No block is empty. Raises ValueError if the file does not exist, cannot be parsed or lacks one of the columns.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'none'}")
    is_parquet = path.suffix.lower() == ".parquet" if data.format == "auto" else data.format == "parquet"
    batches = (_parquet_batches if is_parquet else _csv_batches)(data, path, names)
    rows_read = 0
    while True:
        with _error_in_one_line(path, "a Parquet file" if is_parquet else "a CSV file in UTF-8"):
            batch = next(batches, None)
        if batch is None:
            return
        if batch.num_rows:
            columns = dict(zip(names, batch.columns, strict=True))
            row_numbers = np.arange(rows_read + 1, rows_read + batch.num_rows + 1)
            yield Block(path=path, row_numbers=row_numbers, columns=columns, data=data, typed=is_parquet)
            rows_read += batch.num_rows


def _csv_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    block_bytes = min(data.memory_mb * 2**20 // CSV_BLOCKS, 2**30)  # pyarrow counts a block's bytes in an int32
    # With one thread pyarrow knows the row's number when it reports an error, and it reads fewer blocks ahead.
    read = csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=list(data.column_names) or None)
    # A newline within quotes belongs to the value: neither a row nor a block ends there.
    parse = csv.ParseOptions(delimiter=data.delimiter, newlines_in_values=True)
    try:
        with csv.open_csv(path, read, parse, csv.ConvertOptions(check_utf8=False)) as reader:
            header = reader.schema.names
        file_columns = [name.strip() for name in header]
        _check_names(path, names, file_columns)
        parse.ignore_empty_lines = len(file_columns) > 1  # in a file of one column, an empty line is a missing value
        columns = [header[file_columns.index(name)] for name in names]
        convert = csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()))
        with csv.open_csv(path, read, parse, convert) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        # The message is parsed because pyarrow's invalid_row_handler is not called for a row that is not UTF-8.
        if ragged := RAGGED.search(str(error)):
            line = f" in line {ragged['line']}" if ragged["line"] else ""
            expected = f"{ragged['expected']} values in each row"
            raise ValueError(
                f"{path}: expected {expected}, got {ragged['got']}{line}: {ragged['text']!r:.100}"
            ) from error
        if "straddling" in str(error):
            expected = f"rows of at most memory_mb / {CSV_BLOCKS} = {block_bytes} bytes"
            raise ValueError(f"{path}: expected {expected}, got a longer one") from error
        raise


def _parquet_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    schema = parquet.read_schema(path)
    _check_names(path, names, schema.names)
    text_columns = [name for name in names if schema.field(name).type in (pa.string(), pa.large_string())]
    # Without a buffer_size, pyarrow reads the columns of a whole row group at once.
    with parquet.ParquetFile(path, read_dictionary=text_columns, buffer_size=2**16, pre_buffer=False) as file:
        batch_rows = PARQUET_ROWS
        for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
            chunks = map(group.column, range(group.num_columns))
            group_bytes = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in names)
            row_bytes = group_bytes / max(group.num_rows, 1) + 8 * len(names)
            batch_rows = min(batch_rows, max(1, int(data.memory_mb * 2**20 / PARQUET_COPIES / row_bytes)))
        for batch in file.iter_batches(batch_size=batch_rows, columns=list(names), use_threads=False):
            yield batch.select(list(names))


def _check_names(path: Path, names: Sequence[str], file_columns: Sequence[str]) -> None:
    """Raises ValueError unless each of `names` occurs exactly once among the file's columns."""
    for name in names:
        if file_columns.count(name) != 1:
            what_it_has = "it twice" if name in file_columns else ", ".join(file_columns)
            raise ValueError(f"{path}: expected a column {name!r}, found {what_it_has}")


@contextmanager
def _error_in_one_line(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected {kind}, found {one_line(error)}") from error
