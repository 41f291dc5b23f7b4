"""A block of a table's rows as pyarrow has it, and its columns as numbers or texts, whatever type they came in.

What a column cannot hold raises a ValueError of one line, with file, column, row and value.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared_bottom.tables.columns import canonical
from spec.table import Transform
from spec.validation import one_line


class Texts(NamedTuple):
    """A column of texts."""

    values: list[str | None]
    """None for missing; some perhaps twice."""
    codes: np.ndarray
    """int (N,): the index in `values` of each row's, -1 for missing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """N rows of a file, as pyarrow arrays by column."""

    path: Path
    row_numbers: np.ndarray
    """int64 (N,): counted from 1 in the file, a CSV header not among them."""
    columns: dict[str, Any]
    missing: frozenset[str]

    @property
    def rows(self) -> int:
        """N."""
        return len(self.row_numbers)

    def filter(self, keep: np.ndarray) -> "Block":
        """The rows where `keep` (N,) is true."""
        mask = pa.array(keep)
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return replace(self, row_numbers=self.row_numbers[keep], columns=columns)

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
            if pa.types.is_dictionary(array.type) and len(array.dictionary) > len(array):
                array = array.dictionary_decode()  # a whole file's values, of which few are here
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
