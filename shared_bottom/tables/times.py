"""Times as NumPy's datetime64, and their parts as the network's inputs.

A time is taken as it is written: in its time zone if it has one, which is then forgotten.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared_bottom.tables.arrays import decoded, is_text
from shared_bottom.tables.values import ZONE
from spec.columns import TimePart

DAY = np.timedelta64(1, "D")

PARTS: dict[TimePart, Callable[[np.ndarray], np.ndarray]] = {
    "year": lambda times: times.astype("M8[Y]").astype(np.int64) + 1970,
    "month": lambda times: times.astype("M8[M]").astype(np.int64) % 12,
    "day": lambda times: (times.astype("M8[D]") - times.astype("M8[M]")).astype(np.int64),
    "weekday": lambda times: (times.astype("M8[D]").astype(np.int64) + 3) % 7,  # 1970 began on a Thursday
    "hour": lambda times: times.astype("M8[h]").astype(np.int64) % 24,
    "minute": lambda times: times.astype("M8[m]").astype(np.int64) % 60,
    "elapsed_days": lambda times: (times - np.datetime64(0, "us")) / DAY,
}
"""Each part of times, from datetime64 (N,); those with a table count from 0."""


def numeric_part(times: np.ndarray, part: TimePart) -> np.ndarray:
    """A part that is a number: float64 (N,), NaN where the time is missing. times: datetime64[us] (N,)."""
    return np.where(np.isnat(times), np.nan, PARTS[part](times))


def part_ids(times: np.ndarray, part: TimePart) -> np.ndarray:
    """A part that is looked up in a table: int32 (N,), 0 where the time is missing. times: datetime64[us] (N,)."""
    return np.where(np.isnat(times), 0, PARTS[part](times) + 1).astype(np.int32)


def wall_times(array: Any) -> np.ndarray:
    """The times of an array of timestamps or dates, or of texts without blanks around them: datetime64[us] (N,).

    Raises pyarrow.ArrowInvalid if a text is no time or a time is too far from 1970, and pyarrow.ArrowException if the
    array's type has no times.
    """
    array = decoded(array)
    if is_text(array.type):
        array = text_times(array)
    elif not (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type) or pa.types.is_null(array.type)):
        raise pa.ArrowNotImplementedError("no timestamp, date or text")
    if pa.types.is_timestamp(array.type):
        if array.type.tz is not None:
            array = pc.local_timestamp(array)
        if array.type.unit == "ns":  # NumPy rounds down, whereas pyarrow would round towards 1970
            return array.to_numpy(zero_copy_only=False).astype("M8[us]")
    return array.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)


def text_times(texts: Any) -> Any:
    """timestamp[us]: the times that texts in ISO 8601 are, with null for null.

    Raises pyarrow.ArrowInvalid if one is no time.
    """
    try:
        return texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # with a time zone, or with more digits of a second than six
        texts = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")
        return pc.replace_substring_regex(texts, rf"^(.{{10}})[Tt ]([\d:.]+){ZONE}$", r"\1 \2").cast(pa.timestamp("us"))
