"""pyarrow arrays of every type as canonical texts or as numbers.

An array that has no such form raises `pyarrow.ArrowException`; `shared_bottom.tables.blocks` knows the file and the
column, and says what was expected of it.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared_bottom.tables.values import SPELLINGS, canonical, loses_digits

TRUTH = {"true": "1", "false": "0"}
TRUTH_TEXTS = TRUTH | {spelling: TRUTH[text] for spelling, text in SPELLINGS.items() if text in TRUTH}
"""Booleans as programs write them, and the numbers that they are."""

BINARY = {pa.binary().id, pa.large_binary().id, pa.binary(1).id}
"""What the types of bytes are called within pyarrow."""

FEW = 16
"""Up to so many values it takes less time to look at each than to find those that are distinct."""

GROUPS = {" ": "[ \u00a0\u202f]"}
"""What separates thousands, as a pattern, where that is more than the character: a blank may be one without a break."""


def with_kernels(array: Any) -> Any:
    """The array in a type that pyarrow can filter and decode: views become texts or bytes, and runs are written out."""
    if pa.types.is_run_end_encoded(array.type):
        return with_kernels(pc.run_end_decode(array))
    if pa.types.is_dictionary(array.type):
        values = array.dictionary
        if _without_views(values.type) == values.type:
            return array
        return pa.DictionaryArray.from_arrays(array.indices, with_kernels(values))
    arrow_type = _without_views(array.type)
    return array if arrow_type == array.type else array.cast(arrow_type)


def _without_views(arrow_type: Any) -> Any:
    """The type with texts and bytes in place of views, in lists too."""
    if pa.types.is_string_view(arrow_type):
        return pa.string()
    if pa.types.is_binary_view(arrow_type):
        return pa.binary()
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(is_list(arrow_type) for is_list in lists):
        values = _without_views(arrow_type.value_type)
        return arrow_type if values == arrow_type.value_type else pa.list_(values)
    return arrow_type


def stored(array: Any) -> Any:
    """The array without an extension type: UUIDs and bytes as texts, 8-bit booleans as booleans."""
    if isinstance(array, pa.ExtensionArray):
        name = array.type.extension_name
        if name == "arrow.uuid":
            return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
        return array.storage.cast(pa.bool_()) if name == "arrow.bool8" else stored(array.storage)
    return array.cast(pa.string()) if array.type.id in BINARY else array


def decoded(array: Any) -> Any:
    """The array without an extension type and without a dictionary."""
    array = stored(array)
    return stored(array.dictionary_decode()) if pa.types.is_dictionary(array.type) else array


def is_text(arrow_type: Any) -> bool:
    """Whether the values of a type are texts."""
    return pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type)


class Distinct(NamedTuple):
    """An array of N values as its distinct values and an index into them."""

    values: Any
    """The distinct values as an array; some may be null, and in a dictionary, or where they are few, some equal."""
    codes: np.ndarray
    """int64 (N,): each value's index; it may be -1 where it is null."""


def distinct(array: Any) -> Distinct:
    """The distinct values of an array of any type but a nested one."""
    array = stored(array)
    if pa.types.is_dictionary(array.type) and len(array.dictionary) > len(array):
        # The dictionary holds the values of the whole file, and only a few of them occur in this block.
        array = array.dictionary_decode()
    if not pa.types.is_dictionary(array.type):
        if len(array) <= FEW:
            return Distinct(array, np.arange(len(array)))
        array = array.dictionary_encode()
    codes = array.indices.cast(pa.int64()).fill_null(-1)  # the indices may be unsigned
    return Distinct(stored(array.dictionary), codes.to_numpy(zero_copy_only=False))


def canonical_texts(values: Any, decimal: str = ".") -> tuple[list[str | None], list[int]]:
    """The canonical texts of values, and the indices of those that may have lost digits as floats.

    values: an array of texts, numbers, booleans, dates or times.
    decimal: what stands before the decimals of a number that is a text.
    """
    if pa.types.is_floating(values.type):
        return _float_texts(values)
    if pa.types.is_duration(values.type) or pa.types.is_interval(values.type):
        raise pa.ArrowNotImplementedError("a duration has no text that says its unit")
    if is_text(values.type):
        return _text_texts(values, decimal)
    if pa.types.is_integer(values.type):
        return [None if value is None else str(value) for value in values.to_pylist()], []
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        values = pc.local_timestamp(values)
    texts = values.cast(pa.string()).to_pylist()
    if pa.types.is_time(values.type):
        texts = [text and re.sub(r"\.?0*$", "", text) if "." in (text or "") else text for text in texts]
    elif pa.types.is_timestamp(values.type) or pa.types.is_decimal(values.type):
        texts = [text and canonical(text) for text in texts]
    return texts, []


def _text_texts(values: Any, decimal: str) -> tuple[list[str | None], list[int]]:
    if decimal == ",":
        values = pc.replace_substring_regex(values, r"^\s*(-?\d+),(\d+)\s*$", r"\1.\2")
    spelled = [text and text.strip() for text in values.to_pylist()]
    texts = [text and canonical(text) for text in spelled]
    lost = [
        i
        for i, (text, spelling) in enumerate(zip(texts, spelled, strict=True))
        if text != spelling and text and text.lstrip("-").isdecimal() and loses_digits(int(text))
    ]
    return texts, lost


def _float_texts(values: Any) -> tuple[list[str | None], list[int]]:
    """A whole number is written as an integer, any other with the fewest digits that give the same number again."""
    numbers = values.to_numpy(zero_copy_only=False)
    kind = numbers.dtype.type  # a float32's digits are not those of the float64 that it is equal to
    exact_whole = 2 ** (np.finfo(kind).nmant + 1)

    def text(number: float) -> str | None:
        if np.isnan(number):
            return None
        return str(int(number)) if number.is_integer() else str(kind(number))

    with np.errstate(invalid="ignore"):
        large = np.isfinite(numbers) & (np.abs(numbers) > exact_whole)
    lost = [i for i in np.flatnonzero(large).tolist() if kind is not np.float64 or loses_digits(int(numbers[i]))]
    return [text(number) for number in numbers.tolist()], lost


def text_numbers(texts: Any, decimal: str = ".", thousands: str | None = None) -> Any:
    """float64: the numbers that texts are, with null for null. Raises pyarrow.ArrowInvalid if one is no number.

    texts: the array, without blanks around a text.
    decimal, thousands: what stands before the decimals and between the thousands.
    """
    if thousands is not None:
        group = GROUPS.get(thousands, re.escape(thousands))
        grouped = rf"^[+-]?\d{{1,3}}({group}\d{{3}})+({re.escape(decimal)}\d*)?$"
        joined = pc.replace_substring_regex(texts, group, "")
        texts = pc.if_else(pc.match_substring_regex(texts, grouped), joined, texts)
    if decimal == ",":
        texts = pc.replace_substring(pc.replace_substring(texts, ".", ";"), ",", ".")  # a point makes it no number
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        spellings = pa.array(list(TRUTH_TEXTS), texts.type)
        numbers = pa.array(list(TRUTH_TEXTS.values()), texts.type)
        known = numbers.take(pc.index_in(texts, spellings))
        return pc.coalesce(known, texts).cast(pa.float64())


def first_failure(array: Any, convert: Callable[[Any], Any]) -> np.ndarray:
    """A mask, bool (N,), that is true at the first value which cannot be converted. There must be such a value.

    pyarrow does not say where a conversion failed, so the place is searched for by bisection.
    """

    def fails(part: Any) -> bool:
        try:
            convert(part)
        except pa.ArrowInvalid:
            return True
        return False

    start, stop = 0, len(array)
    while stop - start > 1:
        middle = (start + stop) // 2
        start, stop = (start, middle) if fails(array[start:middle]) else (middle, stop)
    return np.arange(len(array)) == start
