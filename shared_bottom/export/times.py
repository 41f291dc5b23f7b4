"""The parts of times, from microseconds since the beginning of 1970: what `shared_bottom.tables.times` computes."""

from collections.abc import Callable

import numpy as np

from shared_bottom.export.graph import Graph, Value
from shared_bottom.tables.missing import missing_of
from spec.columns import TimeColumn, TimePart
from spec.table import TableSpec

DAY = 24 * 60 * 60 * 10**6
"""Microseconds of a day."""


class Times:
    """A column of times in the graph.

    value: int64 (rows,), the smallest number where a time is missing.
    """

    def __init__(self, graph: Graph, value: Value, column: TimeColumn, data: TableSpec) -> None:
        none = [np.iinfo(np.int64).min, *missing_of(data, column.missing).times.astype(int)]
        self._graph, self._missing = graph, graph("Equal", value, np.int64(none[0]))
        for time in none[1:]:
            self._missing = graph("Or", self._missing, graph("Equal", value, np.int64(time)))
        self._value = graph("Where", self._missing, np.int64(0), value)

    def number(self, part: TimePart) -> Value:
        """A part that is a number: float64 (rows,), NaN where the time is missing."""
        number = self._graph.to(np.float64, PARTS[part](self._graph, self._value))
        if part == "elapsed_days":
            number = self._graph("Div", number, np.float64(DAY))
        return self._graph("Where", self._missing, np.float64(np.nan), number)

    def rows(self, part: TimePart, first: int) -> Value:
        """A part that is looked up in a table: int64 (rows,), the row `first` of it where the time is missing."""
        row = self._graph("Add", PARTS[part](self._graph, self._value), np.int64(first + 1))
        return self._graph("Where", self._missing, np.int64(first), row)


def floor_div(graph: Graph, x: Value, divisor: int) -> Value:
    """x divided by a number above 0 and rounded down, which ONNX's division rounds towards 0."""
    rest = graph("Mod", x, np.int64(divisor))  # not below 0
    return graph("Div", graph("Sub", x, rest), np.int64(divisor))


def of_cycle(unit: int, length: int, first: int = 0) -> Callable[[Graph, Value], Value]:
    """A part that counts units of so many microseconds, from `first` in 1970, and begins anew after `length`."""

    def part(graph: Graph, time: Value) -> Value:
        units = floor_div(graph, time, unit)
        return graph("Mod", graph("Add", units, np.int64(first)) if first else units, np.int64(length))

    return part


def of_date(name: TimePart) -> Callable[[Graph, Value], Value]:
    """A part of the date in the Gregorian calendar, whose 400 years have 146,097 days.

    The days are counted from a 1st of March, so that a leap day ends its year, and the months have 31, 30, 31, 30, 31
    days, once more these, and then 31 and the rest: m of them have (153·m + 2) div 5 days.
    """

    def part(graph: Graph, time: Value) -> Value:
        def plus(total: Value, *others: Value | int) -> Value:
            for term in others:
                total = graph("Add", total, np.int64(term) if isinstance(term, int) else term)
            return total

        def times(value: Value, factor: int) -> Value:
            return graph("Mul", value, np.int64(factor))

        def div(value: Value, divisor: int) -> Value:
            return graph("Div", value, np.int64(divisor))  # nothing below 0 is divided

        days = plus(floor_div(graph, time, DAY), 719_468)  # from the 1st of March of the year 0
        cycle = floor_div(graph, days, 146_097)
        day = plus(days, times(cycle, -146_097))
        leap_days = plus(div(day, 1_460), times(div(day, 36_524), -1), div(day, 146_096))
        year = div(plus(day, times(leap_days, -1)), 365)
        day = plus(day, times(year, -365), times(div(year, 4), -1), div(year, 100))
        month = div(plus(times(day, 5), 2), 153)  # from March
        if name == "day":
            return plus(day, times(div(plus(times(month, 153), 2), 5), -1))
        if name == "month":
            return graph("Mod", plus(month, 2), np.int64(12))
        return plus(year, times(cycle, 400), div(month, 10))

    return part


PARTS: dict[TimePart, Callable[[Graph, Value], Value]] = {
    "year": of_date("year"),
    "month": of_date("month"),
    "day": of_date("day"),
    "weekday": of_cycle(DAY, 7, first=3),  # 1970 began on a Thursday
    "hour": of_cycle(DAY // 24, 24),
    "minute": of_cycle(DAY // (24 * 60), 60),
    "elapsed_days": lambda graph, time: time,
}
"""Each part of times, int64 (rows,), from microseconds; of elapsed_days, the microseconds."""
