"""Learns scales, quantiles, vocabularies and classes from the training rows, in one pass over their blocks."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from shared_bottom.tables.blocks import Block, Texts
from shared_bottom.tables.columns import ClassType, FittedColumns, Scale
from shared_bottom.tables.lists import column_values
from shared_bottom.tables.numbers import Moments, Numbers, numeric_inputs
from shared_bottom.tables.values import canonical
from spec.columns import LabelColumn
from spec.model import TaskSpec
from spec.table import TableExperiment

NAMED_VALUES = 10
"""The largest number of values that an error message names."""

WHOLE = re.compile(r"0|-?[1-9]\d*", re.ASCII)
"""A whole number as `canonical` writes it."""


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
    tables = {column.table_name: column for column in vocabulary_columns}
    inputs: dict[str, Numbers] = {}
    label_moments = {name: [Moments() for _ in data.labels[name].columns] for name in numeric_tasks}
    value_counts: dict[str, Counter[str]] = {table: Counter() for table in tables}
    label_counts: dict[str, Counter[str]] = {task.name: Counter() for task in other_tasks}
    text_labels: set[str] = set()
    for block in blocks:
        for column, numbers in numeric_inputs(data, block):
            inputs.setdefault(column.name, Numbers(column)).add(numbers)
        for task_name, moments_of_task in label_moments.items():
            label = data.labels[task_name]
            for name, moments in zip(label.columns, moments_of_task, strict=True):
                moments.add(block.numbers(name, label.transform, label.missing))
        for categorical in vocabulary_columns:
            _count(value_counts[categorical.table_name], column_values(block, categorical).texts)
        for task_name, counts in label_counts.items():
            label = data.labels[task_name]
            _count(counts, block.texts(label.columns[0], label.missing))
            if block.is_text(label.columns[0]):
                text_labels.add(task_name)

    def where(name: str) -> str:
        return f"{', '.join(data.train)}: column {name!r}"

    def label_scales(task_name: str) -> tuple[Scale, ...]:
        columns, moments_of_task = data.labels[task_name].columns, label_moments[task_name]
        return tuple(moments.scale(where(name)) for name, moments in zip(columns, moments_of_task, strict=True))

    learnt = {name: column.learnt(where(name)) for name, column in inputs.items()}
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
        numeric={name: of_input.scale for name, of_input in learnt.items()},
        quantiles={name: of_input.quantiles for name, of_input in learnt.items() if of_input.quantiles},
        bins={name: of_input.edges for name, of_input in learnt.items() if of_input.edges},
        indicators=tuple(name for name, column in inputs.items() if column.missing),
        # Sorted, so that an id does not depend on the order of the rows.
        vocabularies={
            table: tuple(sorted(v for v, count in value_counts[table].items() if count >= column.minimum_count))
            for table, column in tables.items()
        },
        classes=classes,
        class_types={name: class_type for name, class_type in class_types.items() if class_type != "text"},
        labels={task_name: label_scales(task_name) for task_name in numeric_tasks},
    )


def _count(counts: Counter[str], texts: Texts) -> None:
    """Adds to `counts` how often each value occurs."""
    occurrences = np.bincount(texts.codes[texts.codes >= 0], minlength=len(texts.values))
    for value, count in zip(texts.values, occurrences.tolist(), strict=True):
        if value is not None and count:
            counts[value] += count


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
