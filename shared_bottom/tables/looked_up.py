"""What the rows of the embedding tables stand for."""

from typing import NamedTuple

import numpy as np

from shared_bottom.tables.columns import FittedColumns
from spec.columns import TIME_PARTS, TimePart

FIRST: dict[TimePart, int] = {"month": 1, "day": 1}
"""The parts of a time that calendars count from 1; the others begin with 0, as weekday with Monday."""


class Embedding(NamedTuple):
    """An embedding table: what each of its rows stands for, and the rows."""

    values: tuple[str | int | None, ...]
    """None comes first: for a missing value, and for one that training did not have. Then the values in their canonical
    form, as texts; of a hashed column the numbers of its buckets, from 1; of a part of a time the numbers as calendars
    and clocks have them, of which weekdays are counted from 0, Monday."""
    vectors: np.ndarray
    """(rows, dimension)."""


def values_of_rows(columns: FittedColumns) -> dict[str, tuple[str | int | None, ...]]:
    """What the rows of the table stand for that a categorical input is looked up in, by the input's name, in the order
    of the network's categorical features.
    """
    values: dict[str, tuple[str | int | None, ...]] = {}
    for column in columns.data.categorical:
        if column.buckets is not None:
            values[column.name] = (None, *range(1, column.buckets + 1))
        else:
            values[column.name] = (None, *columns.vocabularies[column.table_name])
    for time in columns.data.time:
        for name, part in time.categorical_parts.items():
            first = FIRST.get(part, 0)
            values[name] = (None, *range(first, first + (TIME_PARTS[part] or 0)))
    return values
