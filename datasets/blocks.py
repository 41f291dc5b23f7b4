"""Blocks of a table's rows, read from CSV or Parquet by pyarrow a few at a time, and their columns as numbers or texts.

Every CSV column is read as text and converted here, so that no type depends on the rows that happen to come first.
Rows are counted from 1 in each file, a CSV header not among them. Bad input raises a ValueError of one line.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from datasets.columns import canonical
from spec.table import TableSpec, Transform
from spec.validation import one_line

CSV_BLOCKS = 64
"""The memory is that of so many CSV blocks: pyarrow reads up to 32 ahead, and parsing takes some times a block."""

PARQUET_COPIES = 8
"""Of a Parquet row's bytes, how many times as many it takes until it is encoded."""

PARQUET_ROWS = 65536
"""Most rows of a Parquet batch; more make it no faster."""


class Texts(NamedTuple):
    """A column of texts: `values` [v], some perhaps twice, None for missing; `index` int (N,), -1 for missing."""

    values: list[str | None]
    index: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """N rows of a file, as pyarrow arrays by column."""

    path: Path
    numbers_of_rows: np.ndarray
    """int64 (N,), from 1."""
    columns: dict[str, Any]
    missing: frozenset[str]

    @property
    def rows(self) -> int:
        """N."""
        return len(self.numbers_of_rows)

    def filter(self, keep: np.ndarray) -> "Block":
        """The rows where `keep` (N,) is true."""
        mask = pa.array(keep)
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return replace(self, numbers_of_rows=self.numbers_of_rows[keep], columns=columns)

    def numbers(self, name: str, transform: Transform = "none") -> np.ndarray:
        """A column's numbers: float64 (N,), NaN for missing. Raises for text, infinity, and log1p of -1 or less."""
        numbers = self._to_float64(name)
        self.reject(name, np.isinf(numbers), "a finite number")
        if transform == "log1p":
            self.reject(name, numbers <= -1, "a number above -1 for log1p")
            numbers = np.log1p(numbers)
        return numbers

    def texts(self, name: str) -> Texts:
        """A column's values as the texts that they are compared by. Raises for what has none, such as a list."""
        array = self.columns[name]
        try:
            if not pa.types.is_dictionary(array.type):
                array = array.dictionary_encode()
            values = array.dictionary.cast(pa.string()).to_pylist()
        except pa.ArrowException as error:
            self._wrong_type(name, "text, numbers or booleans", error)
        if pa.types.is_floating(array.dictionary.type):
            values = [None if value == "nan" else value for value in values]
        stripped = [None if value is None else value.strip() for value in values]
        texts = [None if value is None or value in self.missing else canonical(value) for value in stripped]
        return Texts(texts, array.indices.fill_null(-1).to_numpy(zero_copy_only=False))

    def reject(self, name: str, bad: np.ndarray, expected: str) -> None:
        """Raises ValueError with the first value of column `name` where `bad` (N,) is true."""
        if bad.any():
            row = int(np.argmax(bad))
            value = self.columns[name][row].as_py()
            raise ValueError(
                f"{self.path}: column {name!r}, row {self.numbers_of_rows[row]}: expected {expected}, got {value!r}"
            )

    def _to_float64(self, name: str) -> np.ndarray:
        array = self.columns[name]
        try:
            if pa.types.is_dictionary(array.type):
                array = array.dictionary_decode()
            if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
                array = pc.utf8_trim_whitespace(array)
                array = pc.if_else(pc.is_in(array, pa.array(sorted(self.missing), array.type)), None, array)
                if not _parses(array):
                    self.reject(name, _first_text(array), "a number")
            elif pa.types.is_temporal(array.type):
                raise pa.ArrowNotImplementedError("a point in time is no number")
            array = array.cast(pa.float64(), safe=False)
        except pa.ArrowException as error:
            self._wrong_type(name, "numbers", error)
        return array.to_numpy(zero_copy_only=False)

    def _wrong_type(self, name: str, expected: str, error: Exception) -> NoReturn:
        found = self.columns[name].type
        raise ValueError(
            f"{self.path}: column {name!r}: expected {expected}, got {found} ({one_line(error)})"
        ) from error


def read_blocks(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Block]:
    """The columns `names` of a file, block by block in the rows' order, within the memory that `data` grants."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'none'}")
    is_parquet = path.suffix == ".parquet" if data.format == "auto" else data.format == "parquet"
    batches = (_parquet_batches if is_parquet else _csv_batches)(data, path, names)
    missing, done = frozenset(value.strip() for value in data.missing), 0
    while True:
        with _one_line(path, "Parquet" if is_parquet else "CSV"):
            batch = next(batches, None)
        if batch is None:
            return
        if batch.num_rows:
            columns = dict(zip(names, batch.columns, strict=True))
            rows = np.arange(done + 1, done + batch.num_rows + 1)
            yield Block(path=path, numbers_of_rows=rows, columns=columns, missing=missing)
            done += batch.num_rows


def _csv_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    wrong: list[Any] = []

    def note(row: Any) -> str:
        wrong.append(row)
        return "error"

    size = data.memory_mb * 2**20 // CSV_BLOCKS
    # One thread, which knows the rows' numbers and reads no further ahead than it must.
    read = csv.ReadOptions(use_threads=False, block_size=size, column_names=list(data.column_names) or None)
    # Blocks end at the ends of rows, not at newlines within quotes.
    parse = csv.ParseOptions(delimiter=data.delimiter, newlines_in_values=True, invalid_row_handler=note)
    try:
        with csv.open_csv(path, read, parse, csv.ConvertOptions(check_utf8=False)) as reader:
            header = reader.schema.names
        found = [name.strip() for name in header]
        _check_names(path, names, found)
        columns = [header[found.index(name)] for name in names]
        convert = csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()))
        with csv.open_csv(path, read, parse, convert) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        if wrong:
            row = wrong[0]
            line = "" if row.number is None else f" in line {row.number}"
            expected = f"{row.expected_columns} values in each row"
            raise ValueError(f"{path}: expected {expected}, got {row.actual_columns}{line}: {row.text!r}") from error
        if "straddling" in str(error):
            raise ValueError(f"{path}: expected rows of at most {size} bytes, got a longer one; memory_mb") from error
        raise


def _parquet_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    # buffer_size: without one, a whole row group's columns are read at once.
    with parquet.ParquetFile(path, read_dictionary=names, buffer_size=2**16, pre_buffer=False) as file:
        _check_names(path, names, file.schema_arrow.names)
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
        raise ValueError(f"{path}: expected a {kind} file in UTF-8, found {one_line(error)}") from error


def _parses(array: Any) -> bool:
    try:
        array.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _first_text(array: Any) -> np.ndarray:
    """Where the first text is that is no number: bool (N,). There is one."""
    start, stop = 0, len(array)
    while stop - start > 1:
        middle = (start + stop) // 2
        start, stop = (middle, stop) if _parses(array[start:middle]) else (start, middle)
    return np.arange(len(array)) == start
