"""What stands for a missing value, as texts, as numbers and as times."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from shared_bottom.tables.arrays import canonical_texts, text_numbers
from shared_bottom.tables.times import text_times
from spec.table import TableSpec


class Missing(NamedTuple):
    """The missing texts of a column, in each form in which a value can be compared with them."""

    texts: Any
    """A pyarrow array of the texts as a file has them, without blanks around them."""
    canonical: frozenset[str]
    """Their canonical texts."""
    numbers: np.ndarray
    """float64: those that are numbers, without NaN, which is missing anyhow."""
    times: np.ndarray
    """datetime64[us]: those that are times."""


@functools.lru_cache(maxsize=256)
def missing_values(texts: tuple[str, ...], decimal: str, thousands: str | None) -> Missing:
    """The missing texts of a column in each of their forms.

    texts: the texts.
    decimal, thousands: what stands before the decimals and between the thousands of a number that is a text.
    """
    stripped = [text.strip() for text in texts]
    canonical, _ = canonical_texts(pa.array(stripped, pa.string()), decimal)
    converted = (_converted(text, lambda array: text_numbers(array, decimal, thousands)) for text in stripped)
    numbers = np.array([number for number in converted if number is not None], np.float64)
    times = [_converted(text, text_times) for text in stripped]
    return Missing(
        texts=pa.array(stripped, pa.string()),
        canonical=frozenset(text for text in canonical if text is not None),
        numbers=numbers[~np.isnan(numbers)],
        times=np.array([time for time in times if time is not None], "M8[us]"),
    )


def missing_of(data: TableSpec, texts: Sequence[str] | None) -> Missing:
    """What stands for a missing value in a column of a table.

    texts: those that the column says do so; None: those of the table.
    """
    return missing_values(tuple(data.missing if texts is None else texts), data.decimal, data.thousands)


def _converted(text: str, convert: Callable[[Any], Any]) -> Any:
    """What a text is converted to, or None if it cannot be converted."""
    try:
        return convert(pa.array([text]))[0].as_py()
    except pa.ArrowInvalid:
        return None
