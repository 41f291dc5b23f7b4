"""What the training rows teach of their columns, in one pass over their blocks."""

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from shared_bottom.tables.blocks import Block, Texts
from shared_bottom.tables.columns import FittedColumns, Scale, canonical
from spec.model import TaskSpec
from spec.table import LabelColumn, TableExperiment


class Moments:
    """Mean and deviation of numbers that come in blocks, each block's own merged (Chan, Golub & LeVeque, 1983)."""

    def __init__(self) -> None:
        self.count, self.missing = 0, False
        self._mean = self._squares = 0.0
        self._least, self._most = np.inf, -np.inf

    def add(self, numbers: np.ndarray) -> None:
        """Take in more numbers: float64 (n,), NaN for missing."""
        present = numbers[~np.isnan(numbers)]
        self.missing |= len(present) < len(numbers)
        if not len(present):
            return
        self._least, self._most = min(self._least, present.min()), max(self._most, present.max())
        with np.errstate(over="ignore", invalid="ignore"):  # `scale` looks
            mean = present.mean()
            delta, total = mean - self._mean, self.count + len(present)
            self._squares += ((present - mean) ** 2).sum() + delta**2 * (self.count * len(present) / total)
            self._mean += delta * (len(present) / total)
        self.count = total

    def scale(self, column: str) -> Scale:
        """Raises ValueError, naming `column`, if there were no numbers, or too large ones."""
        if not self.count:
            raise ValueError(f"{column}: expected at least one number in the training rows, got none")
        if self._least == self._most:  # asked exactly, as the rounded mean of equal numbers can be off
            return Scale(mean=float(self._most), deviation=1.0)
        deviation = float(np.sqrt(self._squares / self.count))
        if not np.isfinite(deviation):
            largest = max(abs(self._least), abs(self._most))
            raise ValueError(f"{column}: expected numbers whose squares fit float64, got one of size {largest:g}")
        return Scale(mean=float(self._mean), deviation=deviation or 1.0)


def fit_blocks(experiment: TableExperiment, blocks: Iterable[Block]) -> FittedColumns:
    """Fit all columns on the rows of `blocks`. Raises ValueError for a column that they cannot be fitted on."""
    data = experiment.data
    numeric_tasks = [task.name for task in experiment.model.tasks if task.traits.label == "number"]
    others = [task for task in experiment.model.tasks if task.traits.label != "number"]
    categorical = [column for column in data.categorical if column.buckets is None]
    numbers = {column.name: Moments() for column in data.numeric}
    labels = {task: [Moments() for _ in data.labels[task].columns] for task in numeric_tasks}
    values: dict[str, Counter[str]] = {column.name: Counter() for column in categorical}
    classes: dict[str, Counter[str]] = {task.name: Counter() for task in others}
    for block in blocks:
        for column in data.numeric:
            numbers[column.name].add(block.numbers(column.name, column.transform))
        for task, moments in labels.items():
            for name, of_label in zip(data.labels[task].columns, moments, strict=True):
                of_label.add(block.numbers(name, data.labels[task].transform))
        for name, count in values.items():
            _add(count, block.texts(name))
        for task, count in classes.items():
            _add(count, block.texts(data.labels[task].columns[0]))

    def where(name: str) -> str:
        return f"{', '.join(data.train)}: column {name!r}"

    def scales(task: str) -> tuple[Scale, ...]:
        return tuple(of.scale(where(name)) for name, of in zip(data.labels[task].columns, labels[task], strict=True))

    found = {
        task.name: _classes(where(label.columns[0]), task, label, classes[task.name])
        for task in others
        for label in (data.labels[task.name],)
    }
    return FittedColumns(
        data=data,
        tasks=experiment.model.tasks,
        seed=experiment.train.seed,
        numeric={name: moments.scale(where(name)) for name, moments in numbers.items()},
        indicators=tuple(name for name, moments in numbers.items() if moments.missing),
        # Sorted, so that an id does not depend on the order of the rows.
        vocabularies={
            column.name: tuple(sorted(v for v, rows in values[column.name].items() if rows >= column.minimum_count))
            for column in categorical
        },
        classes={task.name: found[task.name] for task in others if task.traits.label == "class"},
        labels={task: scales(task) for task in numeric_tasks},
    )


def _add(count: Counter[str], texts: Texts) -> None:
    rows = np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.values))
    for value, number in zip(texts.values, rows.tolist(), strict=True):
        if value is not None and number:
            count[value] += number


def _classes(where: str, task: TaskSpec, label: LabelColumn, count: Counter[str]) -> tuple[str, ...]:
    """A multiclass task's classes. Raises ValueError where the training rows do not have what the spec says."""
    if not count:
        raise ValueError(f"{where}: expected at least one label in the training rows, got none")
    whole = all(re.fullmatch(r"-?\d+", value, re.ASCII) for value in count)
    found = sorted(count, key=lambda value: (int(value) if whole else 0, value))
    some = ", ".join(map(repr, found[:10])) + (", …" if len(found) > 10 else "")
    if label.positive is not None and canonical(label.positive) not in count:
        raise ValueError(f"{where}: expected the positive value {label.positive!r} in a training row, got {some}")
    if label.classes:
        classes = tuple(canonical(value) for value in label.classes)
        if count.keys().isdisjoint(classes):
            raise ValueError(f"{where}: expected one of the classes {classes} in a training row, got {some}")
        return classes
    if task.traits.label == "class" and len(found) != task.outputs:
        raise ValueError(
            f"{where}: expected {task.outputs} classes, the outputs of task {task.name!r}, got {len(found)}: {some}"
        )
    return tuple(found)
