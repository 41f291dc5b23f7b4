"""What is counted in each column while the training rows pass, and the summary of the columns that is made of it."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from shared_bottom.tables.blocks import Texts
from shared_bottom.tables.columns import FittedColumns, Scale
from shared_bottom.tables.encoding import TRUTH
from shared_bottom.tables.lists import Values
from shared_bottom.tables.numbers import Moments, Numbers
from shared_bottom.tables.summary import ColumnSummary, Role
from shared_bottom.tables.times import PARTS
from shared_bottom.tables.values import canonical
from spec.columns import TIME_PARTS, CategoricalColumn, TimeColumn
from spec.table import TableExperiment
from spec.tasks import TaskSpec


class Observed:
    """What one column of texts or of times has in the blocks of rows seen so far."""

    def __init__(self, *, counted: bool = True) -> None:
        """counted: whether to count how often each text occurs, which takes memory for each; if not, only the texts of
        the first block are counted.
        """
        self.rows = self.missing = self.values = 0
        self.counts: Counter[str] = Counter()
        """How often each text occurs."""
        self._counted = counted

    def add_times(self, times: np.ndarray) -> None:
        """Count a block's times: datetime64 (N,), NaT where one is missing."""
        self.rows += len(times)
        missing = int(np.isnat(times).sum())
        self.missing += missing
        self.values += len(times) - missing

    def without(self, vocabulary: Sequence[str]) -> int:
        """How many values are none of a vocabulary's."""
        return self.values - sum(self.counts[value] for value in vocabulary)

    def add_texts(self, texts: Texts) -> None:
        """Count a block's texts, one for each row."""
        self.add_values(Values(texts, np.arange(len(texts.codes)), np.zeros(len(texts.codes))), len(texts.codes))

    def add_values(self, values: Values, rows: int) -> None:
        """Count the values of a categorical column in a block of so many rows."""
        present = values.texts.present
        self.rows += rows
        self.values += int(present.sum())
        self.missing += int((np.bincount(values.rows[present], minlength=rows) == 0).sum())
        if self._counted or not self.counts:
            values.texts.add_to(self.counts)


class ObservedColumns:
    """What is counted in all columns of an experiment."""

    def __init__(self, experiment: TableExperiment) -> None:
        data, tasks = experiment.data, experiment.model.tasks
        self.numeric: dict[str, Numbers] = {}
        """By numeric input, in the order in which they are first added."""
        self.times = {column.name: Observed() for column in data.time}
        """By time column; only what is looked up in a table is counted here."""
        self.clock: defaultdict[str, set[int]] = defaultdict(set)
        """The hours and the minutes that occur, by the name of the part's input."""
        self.categorical = {column.name: Observed(counted=column.buckets is None) for column in data.categorical}
        self.label_numbers = {
            task.name: [Moments() for _ in data.labels[task.name].columns]
            for task in tasks
            if task.traits.label == "number"
        }
        """By regression task: one for each label column."""
        self.label_texts = {task.name: Observed() for task in tasks if task.traits.label != "number"}
        """By task of another kind."""
        self._columns_of_table: defaultdict[str, list[str]] = defaultdict(list)
        for column in data.categorical:
            self._columns_of_table[column.table_name].append(column.name)

    def add_times(self, column: TimeColumn, times: np.ndarray) -> None:
        """Count a block's times of a column: datetime64 (N,), NaT where one is missing."""
        self.times[column.name].add_times(times)
        for name, part in column.categorical_parts.items():
            if part in ("hour", "minute"):
                self.clock[name].update(np.unique(PARTS[part](times[~np.isnat(times)])).tolist())

    def counts(self, table: str) -> Counter[str]:
        """How often each value occurs in the columns that share an embedding table."""
        first, *others = (self.categorical[name].counts for name in self._columns_of_table[table])
        return sum(others, first) if others else first

    def summaries(self, columns: FittedColumns) -> Iterator[ColumnSummary]:
        """The summary of each column, those of the inputs first.

        columns: what was learnt from the same rows.
        """
        numeric = {column.name for column in columns.data.numeric}
        for name, numbers in self.numeric.items():
            yield _of_numbers(name, "numeric" if name in numeric else "time", numbers.moments, columns.numeric[name])
        for time in columns.data.time:
            seen = self.times[time.name]
            for name, part in time.categorical_parts.items():
                yield ColumnSummary(name=name, role="time", rows=seen.rows, missing=seen.missing, kept=TIME_PARTS[part])
        for column in columns.data.categorical:
            yield _of_category(column, self.categorical[column.name], columns)
        for task in columns.tasks:
            yield from self._of_labels(task, columns)

    def _of_labels(self, task: TaskSpec, columns: FittedColumns) -> Iterator[ColumnSummary]:
        label = columns.data.labels[task.name]
        if task.traits.label == "number":
            learnt = zip(label.columns, self.label_numbers[task.name], columns.labels[task.name], strict=True)
            yield from (_of_numbers(name, "label", moments, scale, task.name) for name, moments, scale in learnt)
            return
        seen, mean, classes = self.label_texts[task.name], None, {}
        missing = seen.missing
        if task.traits.label == "class":
            classes = {value: seen.counts[value] for value in columns.classes[task.name]}
            missing = seen.rows - sum(classes.values())
        else:
            truths = [value for value in seen.counts if TRUTH.get(value)]
            positive = truths if label.positive is None else [canonical(label.positive)]
            mean = sum(seen.counts[value] for value in positive) / seen.values if seen.values else None
        yield ColumnSummary(
            name=label.columns[0],
            role="label",
            task=task.name,
            rows=seen.rows,
            missing=missing,
            distinct=len(seen.counts),
            mean=mean,
            classes=classes,
        )


def _of_category(column: CategoricalColumn, seen: Observed, columns: FittedColumns) -> ColumnSummary:
    if column.buckets is not None:
        distinct, kept, unknown = None, column.buckets, 0
    else:
        vocabulary = columns.vocabularies[column.table_name]
        distinct, kept = len(seen.counts), len(vocabulary)
        unknown = seen.without(vocabulary)
    return ColumnSummary(
        name=column.name,
        role="categorical",
        rows=seen.rows,
        missing=seen.missing,
        values=seen.values,
        distinct=distinct,
        kept=kept,
        unknown=unknown / max(seen.values, 1),
    )


def _of_numbers(name: str, role: Role, moments: Moments, scale: Scale, task: str | None = None) -> ColumnSummary:
    return ColumnSummary(
        name=name,
        role=role,
        task=task,
        rows=moments.rows,
        missing=moments.missing,
        mean=scale.mean if moments.count else None,
        # That of a `Scale` is 1 if all numbers are equal.
        deviation=None if not moments.count else 0.0 if moments.constant else scale.deviation,
    )
