"""How many values of a table's rows training never had: counted while they are encoded, and put into words."""

import warnings
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shared_bottom.tables.columns import FittedColumns

FACTOR, MARGIN = 2.0, 0.05
"""The share of unknown values is high above FACTOR times the usual one, plus MARGIN."""
NAMED = 10
"""The largest number of values that a line names."""


class DataWarning(UserWarning):
    """Something in a table's rows is most likely not meant so."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What was counted in the rows that were encoded so far."""

    values: Counter[str] = field(default_factory=Counter)
    """By categorical column: its values, without the missing ones."""
    unknown: Counter[str] = field(default_factory=Counter)
    """By categorical column: those of its values that have no id."""
    other_classes: dict[str, Counter[str]] = field(default_factory=dict)
    """By multiclass task: the rows of each label that is none of its classes, and so is missing."""

    def add_values(self, column: str, values: int, unknown: int) -> None:
        """Count the values of a column in a block, and those of them that are unknown."""
        self.values[column] += values
        self.unknown[column] += unknown

    def add_classes(self, task: str, counts: Mapping[str, int], classes: Container[str]) -> None:
        """Count the labels of a task in a block: how many rows there are of each, and which are its classes."""
        others = {value: rows for value, rows in counts.items() if value not in classes}
        self.other_classes.setdefault(task, Counter()).update(others)

    def share(self, column: str) -> float:
        """Of a column's values, those that are unknown."""
        return self.unknown[column] / max(self.values[column], 1)

    def usual(self, column: str, columns: FittedColumns) -> tuple[float, str]:
        """The share of unknown values that a column usually has, and the rows that have it.

        It is that of the validation rows if they were counted, else that of the training rows.
        """
        for summary in columns.summary:
            if summary.name == column and summary.role == "categorical":
                if summary.validation_unknown is not None:
                    return summary.validation_unknown, "validation"
                return summary.unknown or 0.0, "training"
        return 0.0, "training"

    def lines(self, columns: FittedColumns) -> Iterator[str]:
        """What of it a reader must know, a line each: labels of classes that the task has not, and columns of which far
        more values are unknown than usual.

        columns: what was learnt from the training rows.
        """
        for task, rows in self.other_classes.items():
            if rows:
                yield left_out(task, rows)
        for column, values in self.values.items():
            share, (usual, of_rows) = self.share(column), self.usual(column, columns)
            if share > FACTOR * usual + MARGIN:
                unknown = f"{self.unknown[column]:,} of {values:,} values are unknown"
                yield f"column {column!r}: {unknown} ({share:.1%}; {usual:.1%} in the {of_rows} rows)"


def left_out(task: str, rows: Counter[str]) -> str:
    """That labels are none of a task's classes: how many rows have each."""
    return f"task {task!r}: {rows.total():,} labels are none of its classes, and do not count: {named(rows)}"


def listed(values: Sequence[str]) -> str:
    """The values, or the first of them if they are many."""
    return ", ".join(map(repr, values[:NAMED])) + (", …" if len(values) > NAMED else "")


def named(counts: Counter[str]) -> str:
    """The most frequent values, each with its number of rows."""
    most = ", ".join(f"{value!r} ({rows:,})" for value, rows in counts.most_common(NAMED))
    return most + (f" and {len(counts) - NAMED:,} more" if len(counts) > NAMED else "")


def warn_of_unknown(tally: Tally, columns: FittedColumns, rows: str = "") -> None:
    """Warn of the columns of which far more values are unknown than usual, and of labels that are no class.

    tally: what was counted in the rows.
    columns: what was learnt from the training rows.
    rows: what the rows are, as the beginning of each line.
    """
    warn(f"{rows}{line}" for line in tally.lines(columns))


def warn(lines: Iterable[str]) -> None:
    """Warn of what a reader must know of a table's rows, a line each."""
    for line in lines:
        warnings.warn(line, DataWarning, stacklevel=3)


def with_validation(columns: FittedColumns, tally: Tally) -> FittedColumns:
    """The columns, whose summary also says how many values of the validation rows are unknown.

    tally: what was counted in the validation rows.
    """
    summary = tuple(
        replace(of_column, validation_unknown=tally.share(of_column.name))
        if of_column.role == "categorical"
        else of_column
        for of_column in columns.summary
    )
    return replace(columns, summary=summary)
