"""Learns means, deviations, vocabularies and classes from the training rows, in one pass over their blocks."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from shared_bottom.tables.blocks import Block, Texts
from shared_bottom.tables.columns import ClassType, FittedColumns, Scale
from shared_bottom.tables.times import numeric_part
from shared_bottom.tables.values import canonical
from spec.columns import LabelColumn
from spec.model import TaskSpec
from spec.table import TableExperiment

NAMED_VALUES = 10
"""The largest number of values that an error message names."""

WHOLE = re.compile(r"0|-?[1-9]\d*", re.ASCII)
"""A whole number as `canonical` writes it."""


class Moments:
    """The mean and the standard deviation of numbers that come in blocks.

    The mean and the sum of squared deviations are computed within each block and then merged with those of the blocks
    before it (Chan, Golub & LeVeque, 1983). Sums over all numbers would lose digits where the mean is large.
    """

    def __init__(self) -> None:
        self.count, self.missing = 0, False
        self._mean = self._squares = 0.0
        self._smallest, self._largest = np.inf, -np.inf

    def add(self, numbers: np.ndarray) -> None:
        """Count the numbers of another block: float64 (n,), NaN where a number is missing."""
        present = numbers[~np.isnan(numbers)]
        self.missing |= len(present) < len(numbers)
        if not len(present):
            return
        self._smallest, self._largest = min(self._smallest, present.min()), max(self._largest, present.max())
        with np.errstate(over="ignore", invalid="ignore"):  # `scale` raises an error if the result is not finite
            mean = present.mean()
            delta, total = mean - self._mean, self.count + len(present)
            self._squares += ((present - mean) ** 2).sum() + delta**2 * (self.count * len(present) / total)
            self._mean += delta * (len(present) / total)
        self.count = total

    def scale(self, column: str) -> Scale:
        """The mean and the deviation of all numbers added so far.

        Raises ValueError if there were none, or if they are so large that their squares are infinite. `column` is the
        beginning of the error message.
        """
        if not self.count:
            raise ValueError(f"{column}: expected at least one number in the training rows, got none")
        if self._smallest == self._largest:  # compared exactly, because the rounded mean of equal numbers can differ
            return Scale(mean=float(self._largest), deviation=1.0)
        deviation = float(np.sqrt(self._squares / self.count))
        if not np.isfinite(deviation):
            largest = max(abs(self._smallest), abs(self._largest))
            raise ValueError(f"{column}: expected numbers whose squares fit float64, got one of size {largest:g}")
        return Scale(mean=float(self._mean), deviation=deviation or 1.0)


def fit_blocks(experiment: TableExperiment, blocks: Iterable[Block]) -> FittedColumns:
    """Learn all columns of an experiment from the training rows.

    experiment: the columns and the tasks whose labels they are.
    blocks: the training rows, with the columns of inputs and labels.

    Raises ValueError if the rows do not suffice for a column: if it has no number or no label, if a value that the
    experiment names does not occur, or if the number of classes is not that of the task's outputs.
    """
    data = experiment.data
    numeric_tasks = [task.name for task in experiment.model.tasks if task.traits.label == "number"]
    other_tasks = [task for task in experiment.model.tasks if task.traits.label != "number"]
    vocabulary_columns = [column for column in data.categorical if column.buckets is None]
    numeric_moments = {name: Moments() for name in data.numeric_inputs}
    label_moments = {name: [Moments() for _ in data.labels[name].columns] for name in numeric_tasks}
    value_counts: dict[str, Counter[str]] = {column.name: Counter() for column in vocabulary_columns}
    label_counts: dict[str, Counter[str]] = {task.name: Counter() for task in other_tasks}
    text_labels: set[str] = set()
    for block in blocks:
        for column in data.numeric:
            numeric_moments[column.name].add(block.numbers(column.name, column.transform, column.missing))
        for time in data.time:
            times = block.times(time.name, time.missing)
            for name, part in time.numeric_parts.items():
                numeric_moments[name].add(numeric_part(times, part))
        for task_name, moments_of_task in label_moments.items():
            label = data.labels[task_name]
            for name, moments in zip(label.columns, moments_of_task, strict=True):
                moments.add(block.numbers(name, label.transform, label.missing))
        for vocabulary in vocabulary_columns:
            _count_rows(value_counts[vocabulary.name], block.texts(vocabulary.name, vocabulary.missing))
        for task_name, counts in label_counts.items():
            label = data.labels[task_name]
            _count_rows(counts, block.texts(label.columns[0], label.missing))
            if block.is_text(label.columns[0]):
                text_labels.add(task_name)

    def where(name: str) -> str:
        return f"{', '.join(data.train)}: column {name!r}"

    def label_scales(task_name: str) -> tuple[Scale, ...]:
        columns, moments_of_task = data.labels[task_name].columns, label_moments[task_name]
        return tuple(moments.scale(where(name)) for name, moments in zip(columns, moments_of_task, strict=True))

    label_values = {}
    for task in other_tasks:  # binary tasks too: their labels are checked here, although nothing is learnt from them
        label = data.labels[task.name]
        label_values[task.name] = _label_values(where(label.columns[0]), task, label, label_counts[task.name])
    classes = {task.name: label_values[task.name] for task in other_tasks if task.traits.label == "class"}
    class_types = {name: _class_type(values) for name, values in classes.items() if name not in text_labels}
    return FittedColumns(
        data=data,
        tasks=tuple(
            replace(task, outputs=len(classes[task.name])) if task.name in classes else task
            for task in experiment.model.tasks
        ),
        seed=experiment.train.seed,
        numeric={name: moments.scale(where(name)) for name, moments in numeric_moments.items()},
        indicators=tuple(name for name, moments in numeric_moments.items() if moments.missing),
        # Sorted, so that an id does not depend on the order of the rows.
        vocabularies={
            column.name: tuple(
                sorted(value for value, rows in value_counts[column.name].items() if rows >= column.minimum_count)
            )
            for column in vocabulary_columns
        },
        classes=classes,
        class_types={name: class_type for name, class_type in class_types.items() if class_type != "text"},
        labels={task_name: label_scales(task_name) for task_name in numeric_tasks},
    )


def _count_rows(counts: Counter[str], texts: Texts) -> None:
    """Adds to `counts` how many rows have each value."""
    rows = np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.values))
    for value, rows_with_value in zip(texts.values, rows.tolist(), strict=True):
        if value is not None and rows_with_value:
            counts[value] += rows_with_value


def _label_values(where: str, task: TaskSpec, label: LabelColumn, counts: Counter[str]) -> tuple[str, ...]:
    """The values of a label in order, which are the classes of a multiclass task; integers are sorted as numbers.

    Raises ValueError if the training rows do not have the values that the spec asks for.
    """
    if not counts:
        raise ValueError(f"{where}: expected at least one label in the training rows, got none")
    all_integers = all(map(WHOLE.fullmatch, counts))
    values = sorted(counts, key=lambda value: (int(value) if all_integers else 0, value))
    shown = ", ".join(map(repr, values[:NAMED_VALUES])) + (", …" if len(values) > NAMED_VALUES else "")
    if label.positive is not None and canonical(label.positive) not in counts:
        raise ValueError(f"{where}: expected the positive value {label.positive!r} in a training row, got {shown}")
    got = f"{len(values)}: {shown}"
    if label.classes:
        classes = tuple(canonical(value) for value in label.classes)
        if counts.keys().isdisjoint(classes):
            raise ValueError(f"{where}: expected one of the classes {classes} in a training row, got {shown}")
        return classes
    if task.traits.label == "class" and not task.outputs_left_open and len(values) != task.outputs:
        raise ValueError(f"{where}: expected {task.outputs} classes, the outputs of task {task.name!r}, got {got}")
    if task.traits.label == "class" and len(values) < task.traits.outputs[0]:
        raise ValueError(f"{where}: expected {task.traits.outputs[0]} or more classes, got {got}")
    return tuple(values)


def _class_type(values: Sequence[str]) -> ClassType:
    """The type of classes whose column has not the type of texts."""
    if set(values) <= {"false", "true"}:
        return "boolean"
    fits = all(WHOLE.fullmatch(value) and -(2**63) <= int(value) < 2**63 for value in values)
    return "integer" if fits else "text"
