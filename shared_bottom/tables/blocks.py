"""A block of rows of a table, and its columns converted to numbers, to texts or to times.

pyarrow decides the type of a column by the file's format and content, so the same values may arrive as strings,
integers, floats, booleans or dictionaries. The rest of the package need not know: a `Block` gives every column as
numbers, as texts or as times. A value that cannot be converted raises a ValueError of one line, which names the file,
the column, the row and the value.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared_bottom.tables.arrays import (
    canonical_texts,
    decoded,
    distinct,
    first_failure,
    is_text,
    text_numbers,
    with_kernels,
)
from shared_bottom.tables.missing import Missing, missing_of
from shared_bottom.tables.times import wall_times
from spec.columns import Transform
from spec.table import TableSpec
from spec.validation import one_line


class Texts(NamedTuple):
    """A column of N texts, stored as its distinct values and an index into them for each row."""

    values: list[str | None]
    """The values that occur, None for a missing one. After the conversion to text two of them may be equal."""
    codes: np.ndarray
    """int (N,): each row's index in `values`, or -1 where the value is missing."""

    @property
    def present(self) -> np.ndarray:
        """bool (N,): the rows whose value is not missing."""
        return np.array([*(value is not None for value in self.values), False])[self.codes]

    def add_to(self, counts: Counter[str]) -> None:
        """Add to `counts` how many rows have each value, without the missing ones."""
        rows = np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))
        for value, rows_with_value in zip(self.values, rows.tolist(), strict=True):
            if value is not None and rows_with_value:
                counts[value] += rows_with_value


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """N consecutive rows of a file, as one pyarrow array for each column."""

    path: Path | str
    """The file that the rows come from, or what error messages call a table in memory."""
    row_numbers: np.ndarray
    """int64 (N,): each row's number in the file, counted from 1. The header of a CSV file is not counted."""
    columns: dict[str, Any]
    """The pyarrow array of each column, by the column's name."""
    data: TableSpec
    """What the table says of its columns."""

    typed: bool = True
    """Whether the columns have types, as those of Parquet have; the columns of a CSV are all texts."""

    def __post_init__(self) -> None:
        columns = {name: with_kernels(array) for name, array in self.columns.items()}
        object.__setattr__(self, "columns", columns)

    @property
    def rows(self) -> int:
        """The number of rows, N."""
        return len(self.row_numbers)

    def filter(self, keep: np.ndarray) -> "Block":
        """A block with only the rows for which `keep`, bool (N,), is true."""
        mask = pa.array(keep)
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return replace(self, row_numbers=self.row_numbers[keep], columns=columns)

    def numbers(self, name: str, transform: Transform = "none", missing: Sequence[str] | None = None) -> np.ndarray:
        """The numbers of column `name` after the transform: float64 (N,), with NaN where the value is missing.

        transform: a quantile transform is not applied here, since it has to be learnt first.
        missing: the texts that stand for a missing value; None: those of the table.

        Raises ValueError if a value is a text or infinite, or if it is -1 or less and the transform is log1p.
        """
        numbers = self._to_float64(name, self.missing(missing))
        self.reject(name, np.isinf(numbers), "a finite number")
        if transform == "log1p":
            self.reject(name, numbers <= -1, "a number above -1 for log1p")
            numbers = np.log1p(numbers)
        return numbers

    def texts(self, name: str, missing: Sequence[str] | None = None) -> Texts:
        """The values of column `name` in their canonical form, the texts by which values are compared.

        missing: the texts that stand for a missing value; None: those of the table.

        Raises ValueError if the column's type has no such form, as for example a list has none, or if a value is a
        float so large that it may have been another whole number before.
        """
        try:
            values, codes = distinct(self.columns[name])
            texts, lost = canonical_texts(values, self.data.decimal)
        except pa.ArrowException as error:
            self._reject_type(name, "text, numbers or booleans", error)
        none = self.missing(missing).canonical
        texts = [None if text in none else text for text in texts]
        if lost:
            kind = np.dtype(values.type.to_pandas_dtype() if pa.types.is_floating(values.type) else np.float64)
            bits = np.finfo(kind).nmant + 1
            expected = f"a whole number of at most 2**{bits}, since a {kind} has lost digits of a larger one"
            self.reject(name, np.isin(codes, [code for code in lost if texts[code] is not None]), expected)
        return Texts(texts, codes)

    def times(self, name: str, missing: Sequence[str] | None = None) -> np.ndarray:
        """The times of column `name`, as they are written in their time zone: datetime64[us] (N,), NaT where missing.

        missing: the texts that stand for a missing value; None: those of the table.

        Raises ValueError if a value is no timestamp, no date and no text in ISO 8601.
        """
        expected = "a timestamp, a date or a text in ISO 8601 such as 2024-01-05 or 2024-01-05T17:30:00"
        none = self.missing(missing)
        try:
            array = decoded(self.columns[name])
            times = self._parsed(name, array, wall_times, none, expected) if is_text(array.type) else wall_times(array)
        except pa.ArrowException as error:
            self._reject_type(name, expected, error)
        return np.where(np.isin(times, none.times), np.datetime64("NaT"), times) if len(none.times) else times

    def is_text(self, name: str) -> bool:
        """Whether the type of column `name` says that its values are texts, which no column of a CSV can say."""
        return self.typed and is_text(decoded(self.columns[name][:0]).type)

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

    def missing(self, texts: Sequence[str] | None) -> Missing:
        """What stands for a missing value, where `texts` do so; None: those of the table."""
        return missing_of(self.data, texts)

    def _to_float64(self, name: str, missing: Missing) -> np.ndarray:
        try:
            array = decoded(self.columns[name])
            if is_text(array.type):
                array = self._parsed(name, array, self._text_numbers, missing, "a number")
            elif pa.types.is_temporal(array.type):
                raise pa.ArrowNotImplementedError("a point in time is no number")
            numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            self._reject_type(name, "numbers", error)
        if not len(missing.numbers):
            return numbers
        kind = array.type.to_pandas_dtype() if pa.types.is_floating(array.type) else np.float64
        with np.errstate(over="ignore"):
            none = missing.numbers.astype(kind).astype(np.float64)  # -99.9 is another number in float32
        none = none[np.isinf(none) == np.isinf(missing.numbers)]
        return np.where(np.isin(numbers, none), np.nan, numbers)

    def _text_numbers(self, texts: Any) -> Any:
        return text_numbers(texts, self.data.decimal, self.data.thousands)

    def _parsed(self, name: str, texts: Any, convert: Callable[[Any], Any], missing: Missing, expected: str) -> Any:
        """The texts of a column converted, without blanks around them and null where they are missing ones.

        Raises ValueError, with `expected` in its message, if one cannot be converted.
        """
        texts = pc.utf8_trim_whitespace(texts)
        texts = pc.if_else(pc.is_in(texts, missing.texts.cast(texts.type)), None, texts)
        try:
            return convert(texts)
        except pa.ArrowInvalid:
            self.reject(name, first_failure(texts, convert), expected)

    def _reject_type(self, name: str, expected: str, error: Exception) -> NoReturn:
        arrow_type = self.columns[name].type
        raise ValueError(
            f"{self.path}: column {name!r}: expected {expected}, got {arrow_type} ({one_line(error)})"
        ) from error
