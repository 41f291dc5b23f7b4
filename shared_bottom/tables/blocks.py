"""A block of rows from a table's file, and its columns converted to numbers or to texts.

pyarrow decides the type of a column by the file's format and content, so the same values may arrive as strings,
integers, floats, booleans or dictionaries. The rest of the package need not know: a `Block` gives every column as
numbers or as texts. A value that cannot be converted raises a ValueError of one line, which names the file, the column,
the row and the value.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared_bottom.tables.columns import canonical
from spec.columns import Transform
from spec.table import TableSpec
from spec.validation import one_line


class Texts(NamedTuple):
    """A column of N texts, stored as its distinct values and an index into them for each row."""

    values: list[str | None]
    """The values that occur, None for a missing one. After the conversion to text two of them may be equal."""
    codes: np.ndarray
    """int (N,): each row's index in `values`, or -1 where the value is missing."""

    def counts(self) -> Counter[str]:
        """How many rows have each value, without the missing ones."""
        rows = np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))
        counts: Counter[str] = Counter()
        for value, rows_with_value in zip(self.values, rows.tolist(), strict=True):
            if value is not None and rows_with_value:
                counts[value] += rows_with_value
        return counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """N consecutive rows of a file, as one pyarrow array for each column."""

    path: Path
    """The file that the rows come from, for error messages."""
    row_numbers: np.ndarray
    """int64 (N,): each row's number in the file, counted from 1. The header of a CSV file is not counted."""
    columns: dict[str, Any]
    """The pyarrow array of each column, by the column's name."""
    data: TableSpec
    """What the table says of its columns."""

    @property
    def rows(self) -> int:
        """The number of rows, N."""
        return len(self.row_numbers)

    @property
    def missing(self) -> frozenset[str]:
        """The texts that stand for a missing value. Blanks around a text are no part of it."""
        return frozenset(value.strip() for value in self.data.missing)

    def filter(self, keep: np.ndarray) -> "Block":
        """A block with only the rows for which `keep`, bool (N,), is true."""
        mask = pa.array(keep)
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return replace(self, row_numbers=self.row_numbers[keep], columns=columns)

    def numbers(self, name: str, transform: Transform = "none") -> np.ndarray:
        """The numbers of column `name` after the transform: float64 (N,), with NaN where the value is missing.

        A quantile transform is not applied here, since it has to be learnt first.

        Raises ValueError if a value is a text or infinite, or if it is -1 or less and the transform is log1p.
        """
        numbers = self._to_float64(name)
        self.reject(name, np.isinf(numbers), "a finite number")
        if transform == "log1p":
            self.reject(name, numbers <= -1, "a number above -1 for log1p")
            numbers = np.log1p(numbers)
        return numbers

    def texts(self, name: str) -> Texts:
        """The values of column `name` in their canonical form, the texts by which values are compared.

        Raises ValueError if the column's type has no such form, as for example a list has none.
        """
        array = self.columns[name]
        try:
            if pa.types.is_dictionary(array.type) and len(array.dictionary) > len(array):
                # The dictionary holds the values of the whole file, and only a few of them occur in this block.
                array = array.dictionary_decode()
            if not pa.types.is_dictionary(array.type):
                array = array.dictionary_encode()
            values = array.dictionary.cast(pa.string()).to_pylist()
        except pa.ArrowException as error:
            self._reject_type(name, "text, numbers or booleans", error)
        if pa.types.is_floating(array.dictionary.type):
            values = [None if value == "nan" else value for value in values]
        stripped = [None if value is None else value.strip() for value in values]
        missing = self.missing
        texts = [None if value is None or value in missing else canonical(value) for value in stripped]
        return Texts(texts, array.indices.fill_null(-1).to_numpy(zero_copy_only=False))

    def reject(self, name: str, invalid: np.ndarray, expected: str) -> None:
        """Raise ValueError if any value of a column is invalid; the message shows the first such value.

        name: the column.
        invalid: bool (N,), true in the rows whose value is invalid.
        expected: what a valid value is, in the words of the error message.
        """
        if invalid.any():
            row = int(np.argmax(invalid))
            value = self.columns[name][row].as_py()
            raise ValueError(
                f"{self.path}: column {name!r}, row {self.row_numbers[row]}: expected {expected}, got {value!r:.100}"
            )

    def _to_float64(self, name: str) -> np.ndarray:
        array = self.columns[name]
        try:
            if pa.types.is_dictionary(array.type):
                array = array.dictionary_decode()
            if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
                array = pc.utf8_trim_whitespace(array)
                array = pc.if_else(pc.is_in(array, pa.array(sorted(self.missing), array.type)), None, array)
                if not _parses_as_numbers(array):
                    self.reject(name, _first_non_number(array), "a number")
            elif pa.types.is_temporal(array.type):
                raise pa.ArrowNotImplementedError("a point in time is no number")
            array = array.cast(pa.float64(), safe=False)
        except pa.ArrowException as error:
            self._reject_type(name, "numbers", error)
        return array.to_numpy(zero_copy_only=False)

    def _reject_type(self, name: str, expected: str, error: Exception) -> NoReturn:
        arrow_type = self.columns[name].type
        raise ValueError(
            f"{self.path}: column {name!r}: expected {expected}, got {arrow_type} ({one_line(error)})"
        ) from error


def _parses_as_numbers(array: Any) -> bool:
    try:
        array.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _first_non_number(array: Any) -> np.ndarray:
    """A mask, bool (N,), that is true at the first text which is not a number. There must be such a text.

    pyarrow does not say where a cast failed, so the place is searched for by bisection.
    """
    start, stop = 0, len(array)
    while stop - start > 1:
        middle = (start + stop) // 2
        start, stop = (middle, stop) if _parses_as_numbers(array[start:middle]) else (start, middle)
    return np.arange(len(array)) == start
