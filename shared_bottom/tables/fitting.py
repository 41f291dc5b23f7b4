"""Learns scales, quantiles, vocabularies and classes from the training rows, in one pass over their blocks."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from shared_bottom.tables.blocks import Block
from shared_bottom.tables.columns import ClassType, FittedColumns, Scale
from shared_bottom.tables.doubts import doubts
from shared_bottom.tables.embeddings import with_given_values
from shared_bottom.tables.inherited import Inherited, grown
from shared_bottom.tables.lists import column_values
from shared_bottom.tables.numbers import Numbers, label_numbers, numeric_inputs
from shared_bottom.tables.observed import ObservedColumns
from shared_bottom.tables.tally import listed
from shared_bottom.tables.values import canonical
from spec.columns import LabelColumn
from spec.table import TableExperiment
from spec.tasks import TaskSpec

WHOLE = re.compile(r"0|-?[1-9]\d*", re.ASCII)
"""A whole number as `canonical` writes it."""


def fit_blocks(
    experiment: TableExperiment,
    blocks: Iterable[Block],
    source: str,
    given: Mapping[str, Sequence[str]],
    inherited: Inherited,
) -> tuple[FittedColumns, list[str]]:
    """Learn all columns of an experiment from the training rows.

    experiment: the columns and the tasks whose labels they are.
    blocks: the training rows, with the columns of inputs and labels.
    source: what error messages call the training rows.
    given: by the name of the embedding table, the values of given embeddings, which are in its vocabulary too.
    inherited: what is taken over of an earlier run's columns.

    Returns what is learnt, and a line for each column or task that is most likely not meant as it is. Raises ValueError
    if the rows do not suffice for a column: if it has no number or no label, if a value that the experiment names does
    not occur, if a label is below 0 where the loss takes none, if the number of classes is not that of the task's
    outputs, or if two columns of the predictions would have one name.
    """
    data = experiment.data
    number_tasks = [task for task in experiment.model.tasks if task.traits.label == "number"]
    other_tasks = [task for task in experiment.model.tasks if task.traits.label != "number"]
    tables = {column.table_name: column for column in data.categorical if column.buckets is None}
    text_labels: set[str] = set()
    seen = ObservedColumns(experiment)
    for block in blocks:
        for column, numbers in numeric_inputs(data, block):
            seen.numeric.setdefault(column.name, Numbers(column)).add(numbers)
        for time in data.time:
            if time.categorical_parts:
                seen.add_times(time, block.times(time.name, time.missing))
        for categorical in data.categorical:
            seen.categorical[categorical.name].add_values(column_values(block, categorical), block.rows)
        for task in number_tasks:
            numbers_of_task = label_numbers(block, task, data.labels[task.name])
            for moments, of_column in zip(seen.label_numbers[task.name], numbers_of_task, strict=True):
                moments.add(of_column)
        for task in other_tasks:
            label = data.labels[task.name]
            seen.label_texts[task.name].add_texts(block.texts(label.columns[0], label.missing))
            if block.is_text(label.columns[0]):
                text_labels.add(task.name)

    def where(name: str) -> str:
        return f"{source}: column {name!r}"

    def label_scales(task_name: str) -> tuple[Scale, ...]:
        columns, moments_of_task = data.labels[task_name].columns, seen.label_numbers[task_name]
        known = inherited.labels.get(task_name, ())
        return tuple(
            known[place] if known and not moments.count else moments.scale(where(name))
            for place, (name, moments) in enumerate(zip(columns, moments_of_task, strict=True))
        )

    learnt = {
        name: inherited.learnt(name)
        if name in inherited.numeric and not numbers.moments.count
        else numbers.learnt(where(name))
        for name, numbers in seen.numeric.items()
    }
    label_values = {}
    for task in other_tasks:  # binary tasks too: their labels are checked here, although nothing is learnt from them
        label = data.labels[task.name]
        label_values[task.name] = _label_values(
            where(label.columns[0]),
            task,
            label,
            seen.label_texts[task.name].counts,
            inherited,
        )
    classes = {task.name: label_values[task.name] for task in other_tasks if task.traits.label == "class"}
    class_types = {name: _class_type(values) for name, values in classes.items() if name not in text_labels}
    columns = FittedColumns(
        data=data,
        tasks=tuple(
            replace(task, outputs=len(classes[task.name])) if task.name in classes else task
            for task in experiment.model.tasks
        ),
        seed=experiment.train.seed,
        numeric={name: of_input.scale for name, of_input in learnt.items()},
        quantiles={name: of_input.quantiles for name, of_input in learnt.items() if of_input.quantiles},
        bins={name: of_input.edges for name, of_input in learnt.items() if of_input.edges},
        indicators=tuple(name for name, numbers in seen.numeric.items() if numbers.moments.missing),
        # Sorted, so that an id does not depend on the order of the rows.
        vocabularies={
            table: tuple(sorted(v for v, count in seen.counts(table).items() if count >= column.minimum_count))
            for table, column in tables.items()
        },
        classes=classes,
        class_types={name: class_type for name, class_type in class_types.items() if class_type != "text"},
        labels={task_name: label_scales(task_name) for task_name in seen.label_numbers},
    )
    learnt_here = with_given_values(columns, given)
    columns = inherited.into(learnt_here)
    columns.prediction_columns()  # so that no network is trained whose predictions could not be written
    of_rows = replace(columns, numeric=learnt_here.numeric, labels=learnt_here.labels)
    lines = [f"training rows: {doubt}" for doubt in doubts(of_rows, seen)]
    return replace(columns, summary=tuple(seen.summaries(of_rows))), lines


def _label_values(
    where: str, task: TaskSpec, label: LabelColumn, counts: Counter[str], inherited: Inherited
) -> tuple[str, ...]:
    """The values of a label in order, which are the classes of a multiclass task; integers are sorted as numbers.

    inherited: has the classes of an earlier run, which come before the others.

    Raises ValueError if the training rows do not have the values that the spec asks for, which they need not have of a
    label that the earlier run had.
    """
    required = task.name not in inherited.tasks
    if required and not counts:
        raise ValueError(f"{where}: expected at least one label in the training rows, got none")
    all_integers = all(map(WHOLE.fullmatch, counts))
    in_order = sorted(counts, key=lambda value: (int(value) if all_integers else 0, value))
    values = grown(inherited.classes.get(task.name, ()), in_order)
    shown = listed(values)
    if required and label.positive is not None and canonical(label.positive) not in counts:
        raise ValueError(f"{where}: expected the positive value {label.positive!r} in a training row, got {shown}")
    got = f"{len(values)}: {shown}"
    if label.classes:
        classes = tuple(canonical(value) for value in label.classes)
        if required and counts.keys().isdisjoint(classes):
            raise ValueError(f"{where}: expected one of the classes {classes} in a training row, got {shown}")
        return classes
    if task.traits.label == "class" and not task.outputs_left_open and len(values) != task.outputs:
        raise ValueError(f"{where}: expected {task.outputs} classes, the outputs of task {task.name!r}, got {got}")
    if task.traits.label == "class" and len(values) < task.traits.outputs[0]:
        raise ValueError(f"{where}: expected {task.traits.outputs[0]} or more classes, got {got}")
    return values


def _class_type(values: Sequence[str]) -> ClassType:
    """The type of classes whose column has not the type of texts."""
    if set(values) <= {"false", "true"}:
        return "boolean"
    fits = all(WHOLE.fullmatch(value) and -(2**63) <= int(value) < 2**63 for value in values)
    return "integer" if fits else "text"
