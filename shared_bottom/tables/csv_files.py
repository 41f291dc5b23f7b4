"""Reads CSV files with pyarrow, as text, and says what is wrong with one that cannot be read.

Every column is read as text, and `shared_bottom.tables.blocks` converts it. If pyarrow converted it, it would infer the
column's type from the first rows of the file, and later rows could fail to fit that type.
"""

import csv as python_csv
import io
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from shared_bottom.tables.checks import check_names
from shared_bottom.tables.csv_text import BUFFER, CsvText
from spec.table import TableSpec

CSV_BLOCKS = 128
"""Reading CSV needs as much memory as this number of blocks: pyarrow reads up to 32 blocks ahead, and to parse a block
takes several times the block's size."""

BEGINNING = 100
"""How many rows are looked at to say what the delimiter is."""

RAGGED = re.compile(
    r"(Row #(?P<row>\d+): )?Expected (?P<expected>\d+) columns, got (?P<got>\d+): (?P<text>.*)", re.DOTALL
)
"""The error message of pyarrow for a row with too many or too few values."""

NOT_UTF8 = re.compile(r"In CSV column #(?P<column>\d+): Row #(?P<row>\d+): .*invalid UTF8 data", re.DOTALL)
"""The error message of pyarrow for a value that is not in UTF-8. Columns are counted from 0, rows as in `_line`."""


def csv_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    """The columns `names` of a CSV file as pyarrow batches, each value a text.

    Raises ValueError, naming the file, if it is no text in UTF-8, if a row has too many or too few values, if it is
    too long, or if the file lacks a column; pyarrow's exceptions and OSError for what else is wrong.
    """
    block_bytes = min(data.memory_mb * 2**20 // CSV_BLOCKS, 2**30)  # pyarrow counts a block's bytes in an int32
    # With one thread pyarrow knows the row's number when it reports an error, and it reads fewer blocks ahead.
    read = csv.ReadOptions(use_threads=False, block_size=block_bytes, column_names=list(data.column_names) or None)
    # A newline within quotes belongs to the value: neither a row nor a block ends there.
    parse = csv.ParseOptions(delimiter=data.delimiter, escape_char=data.escape or False, newlines_in_values=True)
    try:
        parse.invalid_row_handler = lambda _: "skip"  # the header alone is wanted
        with (
            _no_word_of_invalid_rows(),
            csv.open_csv(CsvText(data, path), read, parse, csv.ConvertOptions(check_utf8=False)) as reader,
        ):
            header = _names(path, reader.schema)
        file_columns = [name.strip() for name in header]
        try:
            check_names(path, names, file_columns)
        except ValueError as error:
            raise ValueError(f"{error}{_other_delimiter(data, path, names)}") from error
        parse.ignore_empty_lines = len(file_columns) > 1  # in a file of one column, an empty line is a missing value
        parse.invalid_row_handler = _skip_blank
        columns = [header[file_columns.index(name)] for name in names]
        convert = csv.ConvertOptions(include_columns=columns, column_types=dict.fromkeys(columns, pa.string()))
        with csv.open_csv(CsvText(data, path), read, parse, convert) as reader:
            while True:
                with _no_word_of_invalid_rows():
                    batch = next(reader, None)
                if batch is None:
                    return
                yield batch
    except pa.ArrowInvalid as error:
        # The message is parsed, because an exception that pyarrow's invalid_row_handler raises is lost.
        if ragged := RAGGED.search(str(error)):
            expected, hint = f"{ragged['expected']} values in each row", _other_delimiter(data, path, names)
            number = int(ragged["row"] or 0)
            line = f" in line {_line(data, path, number, ragged['expected'] == '1')}" if number else ""
            raise ValueError(
                f"{path}: expected {expected}, got {ragged['got']}{line}: {ragged['text']!r:.100}{hint}"
            ) from error
        if bad := NOT_UTF8.search(str(error)):
            place = _line(data, path, int(bad["row"]), len(file_columns) == 1)
            raise ValueError(
                f"{path}: column {file_columns[int(bad['column'])]!r}, line {place}: "
                "expected text in UTF-8, got bytes of another encoding"
            ) from error
        if "straddling" in str(error):
            expected = f"rows of at most memory_mb / {CSV_BLOCKS} = {block_bytes} bytes"
            raise ValueError(f"{path}: expected {expected}, got a longer one") from error
        raise


def _names(path: Path, schema: Any) -> list[str]:
    try:
        return list(schema.names)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected column names in UTF-8, got {error.object!r:.100}") from error


def _skip_blank(row: Any) -> str:
    """What pyarrow does with a row that has too many or too few values: a blank one is none."""
    return "error" if row.text.strip(" \t\x1a") else "skip"


@contextmanager
def _no_word_of_invalid_rows() -> Iterator[None]:
    """Within the block, a UnicodeDecodeError that nobody can catch is not printed.

    pyarrow has one if a row that it asks `_skip_blank` about is not in UTF-8, and then raises an error for the row.
    """
    hook = sys.unraisablehook

    def other_errors(ignored: Any) -> None:
        if not isinstance(ignored.exc_value, UnicodeDecodeError):
            hook(ignored)

    sys.unraisablehook = other_errors
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _rows(text: CsvText, data: TableSpec, delimiter: str) -> Any:
    lines = io.TextIOWrapper(io.BufferedReader(text, BUFFER), encoding="utf-8", errors="replace", newline="")
    return python_csv.reader(lines, delimiter=delimiter, escapechar=data.escape)


def _line(data: TableSpec, path: Path, number: int, empty_lines_count: bool) -> int:
    """The line in which a row begins: lines without a row, and those of a value with newlines, count as well.

    number: the row's number, counted from 1, which is the header's if there is one.
    empty_lines_count: whether an empty line is a row.
    """
    text, before, rows_read = CsvText(data, path), 0, 0
    rows = _rows(text, data, data.delimiter)
    for row in rows:
        rows_read += bool(row) or empty_lines_count
        if rows_read == number:
            break
        before = rows.line_num
    return text.skipped + before + 1


def _other_delimiter(data: TableSpec, path: Path, names: Sequence[str]) -> str:
    """The end of an error message: which delimiter fits the table, if it is another than the one it is said to have.

    It fits if all rows at the beginning of the file have the same number of values, and the header all of `names`.
    """
    for delimiter in ",;\t|":
        first_row, *others = itertools.islice(_rows(CsvText(data, path), data, delimiter), BEGINNING)
        header = {name.strip() for name in data.column_names or first_row}
        lengths = {len(row) for row in (first_row, *others) if row}
        if delimiter != data.delimiter and header.issuperset(names) and lengths == {max(len(header), 2)}:
            rows = f"the first {1 + len(others)} rows" if others else "the first row"
            return f"; delimiter = {delimiter!r} would fit {rows}"
    return ""
