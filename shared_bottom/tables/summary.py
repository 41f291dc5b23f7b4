"""What the training rows have in each column, for a reader: part of what is learnt, and a table that shows it."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from spec.validation import STRICT, Finite, Name, NonNegative, Share

Count = Annotated[int, Field(strict=True, ge=0)]
Role = Literal["numeric", "categorical", "time", "label"]

NAMED = 8
"""The largest number of classes that a line names."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ColumnSummary:
    """What the training rows have in one column. Each row counts once, whatever its weight. None: does not apply."""

    name: Name
    """The column; for a part of a time its input, such as visited.year."""
    role: Role
    task: Name | None = None
    """label: its task."""
    rows: Count
    """The training rows."""
    missing: Count
    """Those of them in which it is missing; for lists, those without a value."""
    values: Count | None = None
    """categorical: the values of all rows together, more than rows where it holds lists."""
    distinct: Count | None = None
    """Its distinct values; for a hashed column they are not counted."""
    kept: Count | None = None
    """categorical, time: the ids besides that of an unknown or missing value: the vocabulary's size, or the buckets."""
    unknown: Share | None = None
    """categorical: of the values, the share that has no id, because too few rows have the value."""
    validation_unknown: Share | None = None
    """categorical: the same of the validation rows' values, if there are validation rows."""
    mean: Finite | None = None
    """The mean of its numbers after the transform; of a binary label, the share of positives among the labels."""
    deviation: NonNegative | None = None
    """The standard deviation of its numbers after the transform; 0 if all are equal."""
    classes: dict[str, Count] = Field(default_factory=dict)
    """The label of a multiclass task: how many rows have each class, in the order of the classes."""


HEADER = ("column", "use", "missing", "distinct", "kept", "unknown", "mean", "deviation")


def cells(summary: ColumnSummary) -> list[str]:
    """A column's row in a table with the columns HEADER; "–" where something does not apply."""

    def count(value: int | None) -> str:
        return "–" if value is None else f"{value:,}"

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.2%}"

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.4g}"

    use = summary.role if summary.task is None else f"label of {summary.task}"
    if summary.values is not None and summary.values != summary.rows - summary.missing:
        use = f"lists, {summary.values / max(summary.rows, 1):.3g} a row"
    return [
        summary.name,
        use,
        share(summary.missing / max(summary.rows, 1)),
        count(summary.distinct),
        count(summary.kept),
        share(summary.unknown),
        number(summary.mean),
        number(summary.deviation),
    ]


def label_lines(summaries: Iterable[ColumnSummary]) -> Iterator[str]:
    """A line for each label of classes: how many training rows have each class; the first ones, if they are many."""
    for summary in summaries:
        if summary.classes:
            named = ", ".join(f"{name} {rows:,}" for name, rows in list(summary.classes.items())[:NAMED])
            more = len(summary.classes) - NAMED
            yield f"{summary.task}: {named}" + (f" and {more:,} more classes" if more > 0 else "")
