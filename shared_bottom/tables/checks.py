"""Whether the columns of a table fit the tasks of a network, and whether its rows have these columns."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from shared_bottom.tables.columns import identifier
from shared_bottom.tables.values import canonical
from spec.columns import LabelColumn
from spec.table import TableSpec
from spec.tasks import TaskSpec
from spec.validation import unique


def check_columns(data: TableSpec, tasks: Sequence[TaskSpec]) -> None:
    """Check that the columns of a table fit the tasks of a network.

    Raises ValueError, which names the field, if a task has no label or a label no task, if a label's options are not
    those of the task's kind, if a metric needs a column of groups and there is none, if a column is an input and also a
    label or a weight, or if two inputs of the network, or two embedding tables, have the same name, as identifiers
    where they are categorical.
    """
    tasks_by_name = {task.name: task for task in tasks}
    for name in data.labels:
        if name not in tasks_by_name:
            raise ValueError(f"data.labels: expected tasks among {', '.join(tasks_by_name)}, got {name!r}")
    for name, task in tasks_by_name.items():
        if name not in data.labels:
            raise ValueError(f"data.labels.{name}: expected the label of task {name!r}, got none")
        _check_label(f"data.labels.{name}", task, data.labels[name])
        if task.grouped_metrics and data.group is None:
            metric = f"{name}.{task.grouped_metrics[0]}"
            raise ValueError(f"data.group: expected the column of the rows' groups for the metric {metric}, got none")
    for name, label in data.labels.items():
        for column in label.columns:
            if column in data.inputs:
                raise ValueError(f"data.labels.{name}.columns: expected a column that is no input, got {column!r}")
        if label.weight in data.inputs:
            raise ValueError(f"data.labels.{name}.weight: expected a column that is no input, got {label.weight!r}")
    if data.weight in data.inputs:
        raise ValueError(f"data.weight: expected a column that is no input, got {data.weight!r}")
    unique("data.numeric and the parts of data.time", data.numeric_inputs)
    parts = [(f"data.time.{column.name}", name) for column in data.time for name in column.categorical_parts]
    tables = dict.fromkeys(column.table_name for column in data.categorical)
    _check_identifiers("names", [*(("data.categorical", column.name) for column in data.categorical), *parts])
    _check_identifiers("names of tables", [*(("data.categorical", table) for table in tables), *parts])


def check_names(path: Path | str, names: Sequence[str], file_columns: Sequence[str]) -> None:
    """Raises ValueError, which begins with `path`, unless each of `names` occurs exactly once among the columns."""
    for name in names:
        if file_columns.count(name) != 1:
            what_it_has = "it twice" if name in file_columns else ", ".join(file_columns) or "none"
            raise ValueError(f"{path}: expected a column {name!r}, found {what_it_has:.500}")


def _check_label(field: str, task: TaskSpec, label: LabelColumn) -> None:
    """Raises ValueError if a label does not fit its task. `field` is the beginning of the error message."""
    column_count = task.outputs if task.traits.label_per_output else 1
    if len(label.columns) != column_count:
        raise ValueError(f"{field}.columns: expected {column_count} for the {task.kind} task, got {len(label.columns)}")
    # For each option, the kind of label that it belongs to, and whether it is given.
    options = {
        "positive": ("truth", label.positive is not None),
        "classes": ("class", bool(label.classes)),
        "transform": ("number", label.transform != "none"),
        "standardise": ("number", bool(label.standardise)),
    }
    for option, (label_kind, given) in options.items():
        unfit = ""
        if task.traits.label != label_kind:
            unfit = f"for the {task.kind} task"
        elif label_kind == "number" and task.objective.non_negative:
            unfit = f"with loss {task.objective.kind}, which learns labels as they are"
        if given and unfit:
            raise ValueError(f"{field}.{option}: expected none {unfit}, got {getattr(label, option)!r}")
    if label.classes:
        classes = {canonical(value) for value in label.classes}
        least = task.traits.outputs[0]
        fits = len(classes) >= least if task.outputs_left_open else len(classes) == task.outputs
        if not fits or len(classes) != len(label.classes):
            expected = f"{least} or more" if task.outputs_left_open else task.outputs
            raise ValueError(f"{field}.classes: expected {expected} distinct values, got {label.classes}")


def _check_identifiers(what: str, names: Iterable[tuple[str, str]]) -> None:
    """Raises ValueError if two names, each with the field that it comes from, are one identifier."""
    first: dict[str, str] = {}
    for field, name in names:
        if (other := first.get(identifier(name))) is not None:
            raise ValueError(f"{field}: expected {what} that differ as identifiers, got {other!r} and {name!r}")
        first[identifier(name)] = name
