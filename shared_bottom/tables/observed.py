"""What is counted in each column while the training rows pass, and the summary of the columns that is made of it."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from shared_bottom.tables.blocks import Texts
from shared_bottom.tables.columns import FittedColumns, Scale
from shared_bottom.tables.encoding import TRUTH
from shared_bottom.tables.lists import Values
from shared_bottom.tables.summary import ColumnSummary
from shared_bottom.tables.values import canonical
from spec.columns import TIME_PARTS, CategoricalColumn
from spec.model import TaskSpec
from spec.table import TableExperiment


class Observed:
    """What one column has in the blocks of rows seen so far."""

    def __init__(self, *, counted: bool = True) -> None:
        """counted: whether to count how often each text occurs, which takes memory for each; if not, only the texts of
        the first block are counted.
        """
        self.rows = self.missing = self.values = 0
        self.smallest, self.largest = np.inf, -np.inf
        self.counts: Counter[str] = Counter()
        """How often each text occurs."""
        self._counted = counted

    def add_numbers(self, numbers: np.ndarray) -> None:
        """Count a block's numbers: float64 (N,), NaN where one is missing."""
        present = numbers[~np.isnan(numbers)]
        self.rows += len(numbers)
        self.missing += len(numbers) - len(present)
        if len(present):
            self.smallest = min(self.smallest, float(present.min()))
            self.largest = max(self.largest, float(present.max()))

    def add_times(self, times: np.ndarray) -> None:
        """Count a block's times: datetime64 (N,), NaT where one is missing."""
        self.rows += len(times)
        self.missing += int(np.isnat(times).sum())

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

    @property
    def constant(self) -> bool:
        """Whether there are numbers, and all are equal."""
        return self.smallest == self.largest


class ObservedColumns:
    """What is counted in all columns of an experiment."""

    def __init__(self, experiment: TableExperiment) -> None:
        data = experiment.data
        self.numeric: defaultdict[str, Observed] = defaultdict(Observed)
        """By numeric input, in the order in which they are first asked for."""
        self.times = {column.name: Observed() for column in data.time}
        """By time column; only what is looked up in a table is counted here."""
        self.categorical = {column.name: Observed(counted=column.buckets is None) for column in data.categorical}
        self.labels = {task: [Observed() for _ in label.columns] for task, label in data.labels.items()}
        """By task: one for each label column."""
        self._columns_of_table: defaultdict[str, list[str]] = defaultdict(list)
        for column in data.categorical:
            self._columns_of_table[column.table_name].append(column.name)

    def counts(self, table: str) -> Counter[str]:
        """How often each value occurs in the columns that share an embedding table."""
        first, *others = (self.categorical[name].counts for name in self._columns_of_table[table])
        return sum(others, first) if others else first

    def summaries(self, columns: FittedColumns) -> Iterator[ColumnSummary]:
        """The summary of each column, those of the inputs first.

        columns: what was learnt from the same rows.
        """
        numeric = {column.name for column in columns.data.numeric}
        for name, seen in self.numeric.items():
            mean, deviation = _moments(seen, columns.numeric[name])
            yield ColumnSummary(
                name=name,
                role="numeric" if name in numeric else "time",
                rows=seen.rows,
                missing=seen.missing,
                mean=mean,
                deviation=deviation,
            )
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
        for i, (name, seen) in enumerate(zip(label.columns, self.labels[task.name], strict=True)):
            mean = deviation = distinct = None
            missing, classes = seen.missing, {}
            if task.traits.label == "number":
                mean, deviation = _moments(seen, columns.labels[task.name][i])
            elif task.traits.label == "class":
                classes = {value: seen.counts[value] for value in columns.classes[task.name]}
                missing, distinct = seen.rows - sum(classes.values()), len(seen.counts)
            else:
                truths = [value for value in seen.counts if TRUTH.get(value)]
                positive = truths if label.positive is None else [canonical(label.positive)]
                mean, distinct = sum(seen.counts[value] for value in positive) / seen.values, len(seen.counts)
            yield ColumnSummary(
                name=name,
                role="label",
                task=task.name,
                rows=seen.rows,
                missing=missing,
                distinct=distinct,
                mean=mean,
                deviation=deviation,
                classes=classes,
            )


def _of_category(column: CategoricalColumn, seen: Observed, columns: FittedColumns) -> ColumnSummary:
    if column.buckets is not None:
        distinct, kept, unknown = None, column.buckets, 0
    else:
        vocabulary = columns.vocabularies[column.table_name]
        distinct, kept = len(seen.counts), len(vocabulary)
        unknown = seen.values - sum(seen.counts[value] for value in vocabulary)
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


def _moments(seen: Observed, scale: Scale) -> tuple[float, float]:
    """The mean and the deviation of a column's numbers; the deviation of a `Scale` is 1 if all are equal."""
    return scale.mean, 0.0 if seen.constant else scale.deviation
