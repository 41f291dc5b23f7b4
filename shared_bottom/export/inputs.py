"""The inputs of an exported graph: one for each column of the table, and how a column's values are written in it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.missing import missing_of
from shared_bottom.tables.values import canonical

Kind = Literal["number", "text", "bucket", "time"]
TYPES: dict[Kind, str] = {"number": "double", "text": "string", "bucket": "int64", "time": "int64"}
"""The type of each kind's tensor."""
DESCRIPTIONS: dict[Kind, str] = {
    "number": "numbers, NaN where one is missing",
    "text": "values as texts without blanks around them; whole numbers without a decimal point (3, not 3.0), others "
    "with a point and the fewest digits (1.5), booleans as true and false, times as 2024-01-05T17:30:00, at midnight "
    "the date alone (2024-01-05); `none` where a value is missing",
    "bucket": "the hash bucket of each value's text, as `hash` of the metadata says; 0 where a value is missing",
    "time": "microseconds from 1970-01-01T00:00 to the time as it is written, whatever its zone; -2^63 where it is "
    "missing",
}
LISTS = {
    "text": "a row's values side by side, the empty text where there is none",
    "bucket": "the buckets of a row's values side by side, -1 where there is none",
}
HASH = (
    "The bucket of a value with n buckets: c = CRC-32 of its text in UTF-8, its upper bit cleared; x = c XOR (c >> 16);"
    " x = (x * 0x21F0AAAD) AND 0x7FFFFFFF; x = x XOR (x >> 15); x = (x * 0x735A2D97) AND 0x7FFFFFFF; x = x XOR "
    "(x >> 15); the bucket is x mod n + 1. Its text is that of a text input."
)


@dataclass(frozen=True, kw_only=True)
class Input:
    """An input of the graph."""

    name: str
    """The column's, or <column>_<kind> where an output or another input is called so."""
    column: str
    kind: Kind
    several: bool = False
    """Whether a row has a list of values: (rows, values) instead of (rows,)."""
    buckets: int | None = None
    """Of a hashed column: how many."""
    missing: tuple[str, ...] = ()
    """Of a hashed column: the texts that stand for a missing value."""
    none: str = ""
    """Of a text: what stands for a missing value: the empty text unless that is a value, as of every unknown value."""
    above: float | None = None
    """What its numbers have to be above."""

    @property
    def type(self) -> str:
        """The type of its tensor, as ONNX calls it."""
        return TYPES[self.kind]

    @property
    def shape(self) -> tuple[str, ...]:
        """The names of its axes, which may be of any length."""
        return ("rows", f"values of {self.column}") if self.several else ("rows",)

    @property
    def description(self) -> str:
        """How the column's values are written."""
        text = f"{DESCRIPTIONS[self.kind]}; {LISTS[self.kind]}" if self.several else DESCRIPTIONS[self.kind]
        return f"column {self.column!r}: {text}"

    def metadata(self) -> dict[str, Any]:
        """All of this, for JSON."""
        return asdict(self) | {"type": self.type, "shape": self.shape, "description": self.description}


def inputs_of(columns: FittedColumns, outputs: Iterable[str]) -> list[Input]:
    """The inputs of the graph: those of numeric columns first, then of categorical ones, then of times.

    outputs: the names of the graph's outputs, which no input may have.
    """
    taken, inputs = set(outputs), []
    for kind, column, fields in _columns(columns):
        name = column
        while name in taken or (name != column and name in columns.data.inputs):
            name += f"_{kind}"
        taken.add(name)
        inputs.append(Input(name=name, column=column, kind=kind, **fields))
    return inputs


def _columns(columns: FittedColumns) -> Iterator[tuple[Kind, str, dict[str, Any]]]:
    for number in columns.data.numeric:
        yield "number", number.name, {"above": -1.0 if number.transform == "log1p" else None}
    for category in columns.data.categorical:
        several, missing = category.length > 1, missing_of(columns.data, category.missing).canonical
        nothing = {""} if several else set()  # in a list, an empty text is no value
        if category.buckets is None:
            none, values = "", {*map(canonical, columns.vocabularies[category.table_name])} - missing - nothing
            while none in values:
                none += "-"
            yield "text", category.name, {"several": several, "none": none}
        else:
            texts = tuple(sorted(missing | nothing))
            yield "bucket", category.name, {"several": several, "buckets": category.buckets, "missing": texts}
    for time in columns.data.time:
        yield "time", time.name, {}
