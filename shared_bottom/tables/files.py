"""A table's files, CSV or Parquet, read by pyarrow a few rows at a time.

Every CSV column is read as text and converted by us, so that no type depends on the rows that happen to come first.
Bad files raise a ValueError of one line, which begins with their path.
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
"""The memory is that of so many CSV blocks: pyarrow reads up to 32 ahead, and parsing takes some times a block."""

RAGGED = re.compile(
    r"(Row #(?P<line>\d+): )?Expected (?P<expected>\d+) columns, got (?P<got>\d+): (?P<text>.*)", re.DOTALL
)
"""What pyarrow says of a row with too many values, or too few."""

PARQUET_COPIES = 16
"""Of a Parquet row's bytes, how many times as many it takes until it is encoded."""

PARQUET_ROWS = 65536
"""Most rows of a Parquet batch; more make it no faster."""


def read_blocks(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Block]:
    """The columns `names` of a file, block by block in the rows' order, within the memory that `data` grants."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'none'}")
    is_parquet = path.suffix.lower() == ".parquet" if data.format == "auto" else data.format == "parquet"
    batches = (_parquet_batches if is_parquet else _csv_batches)(data, path, names)
    missing, done = frozenset(value.strip() for value in data.missing), 0
    while True:
        with _one_line(path, "a Parquet file" if is_parquet else "a CSV file in UTF-8"):
            batch = next(batches, None)
        if batch is None:
            return
        if batch.num_rows:
            columns = dict(zip(names, batch.columns, strict=True))
            rows = np.arange(done + 1, done + batch.num_rows + 1)
            yield Block(path=path, row_numbers=rows, columns=columns, missing=missing)
            done += batch.num_rows


def _csv_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    size = min(data.memory_mb * 2**20 // CSV_BLOCKS, 2**30)  # pyarrow counts a block's bytes in an int32
    # One thread, which knows the rows' numbers and reads no further ahead than it must.
    read = csv.ReadOptions(use_threads=False, block_size=size, column_names=list(data.column_names) or None)
    # Blocks end at the ends of rows, not at newlines within quotes.
    parse = csv.ParseOptions(delimiter=data.delimiter, newlines_in_values=True)
    try:
        with csv.open_csv(path, read, parse, csv.ConvertOptions(check_utf8=False)) as reader:
            header = reader.schema.names
        found = [name.strip() for name in header]
        _check_names(path, names, found)
        parse.ignore_empty_lines = len(found) > 1  # in a single column one is a missing value
        columns = [header[found.index(name)] for name in names]
        convert = csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()))
        with csv.open_csv(path, read, parse, convert) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        # Not by an invalid_row_handler, which gets no row that is not UTF-8.
        if wrong := RAGGED.search(str(error)):
            line = f" in line {wrong['line']}" if wrong["line"] else ""
            expected = f"{wrong['expected']} values in each row"
            raise ValueError(
                f"{path}: expected {expected}, got {wrong['got']}{line}: {wrong['text']!r:.100}"
            ) from error
        if "straddling" in str(error):
            expected = f"rows of at most memory_mb / {CSV_BLOCKS} = {size} bytes"
            raise ValueError(f"{path}: expected {expected}, got a longer one") from error
        raise


def _parquet_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    schema = parquet.read_schema(path)
    _check_names(path, names, schema.names)
    texts = [name for name in names if schema.field(name).type in (pa.string(), pa.large_string())]
    # buffer_size: without one, a whole row group's columns are read at once.
    with parquet.ParquetFile(path, read_dictionary=texts, buffer_size=2**16, pre_buffer=False) as file:
        size = PARQUET_ROWS
        for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
            chunks = map(group.column, range(group.num_columns))
            used = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in names)
            row = used / max(group.num_rows, 1) + 8 * len(names)
            size = min(size, max(1, int(data.memory_mb * 2**20 / PARQUET_COPIES / row)))
        for batch in file.iter_batches(batch_size=size, columns=list(names), use_threads=False):
            yield batch.select(list(names))


def _check_names(path: Path, names: Sequence[str], found: Sequence[str]) -> None:
    for name in names:
        if found.count(name) != 1:
            amount = "it twice" if name in found else ", ".join(found)
            raise ValueError(f"{path}: expected a column {name!r}, found {amount}")


@contextmanager
def _one_line(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected {kind}, found {one_line(error)}") from error
