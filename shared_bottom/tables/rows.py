"""Reads a user's table: a TOML file says what each column is, and the rows come from CSV or Parquet files.

The files are read in blocks, so the memory that is needed does not grow with their size. Only `read_rows` returns all
rows at once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from shared_bottom.tables.columns import FittedColumns, canonical, identifier
from spec.data import Dataset
from spec.files import from_toml
from spec.model import TaskSpec
from spec.random import MASK, keep, layer_key, step_key
from spec.reading import parse_toml, read_text
from spec.table import LabelColumn, TableExperiment, TableSpec
from spec.validation import one_line

if TYPE_CHECKING:
    from shared_bottom.tables.blocks import Block

Subset = Literal["all", "training", "validation"]
"""Which rows of the training files: all, those to train on, or those that `validation_fraction` sets aside."""


def read_table_experiment(path: Path) -> TableExperiment:
    """The experiment in a TOML file.

    Raises OSError if the file cannot be read, and ValueError, in one line that names the file and the field, if its
    content is not a valid experiment.
    """
    try:
        experiment = from_toml(TableExperiment, read_text(path))
        check_columns(experiment.data, experiment.model.tasks)
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
    return experiment


def has_table(path: Path) -> bool:
    """Whether a TOML file has the table [data]. Raises OSError and ValueError, as `read_table_experiment` does."""
    try:
        return "data" in parse_toml(read_text(path))
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error


def check_columns(data: TableSpec, tasks: Sequence[TaskSpec]) -> None:
    """Check that the columns of a table fit the tasks of a network.

    Raises ValueError, which names the field, if a task has no label or a label no task, if a label's options are not
    those of the task's kind, if a column is an input and also a label or the weight, or if two categorical columns
    have the same name as identifiers.
    """
    tasks_by_name = {task.name: task for task in tasks}
    for name in data.labels:
        if name not in tasks_by_name:
            raise ValueError(f"data.labels: expected tasks among {', '.join(tasks_by_name)}, got {name!r}")
    for name, task in tasks_by_name.items():
        if name not in data.labels:
            raise ValueError(f"data.labels.{name}: expected the label of task {name!r}, got none")
        _check_label(f"data.labels.{name}", task, data.labels[name])
    for name, label in data.labels.items():
        for column in label.columns:
            if column in data.inputs:
                raise ValueError(f"data.labels.{name}.columns: expected a column that is no input, got {column!r}")
    if data.weight in data.inputs:
        raise ValueError(f"data.weight: expected a column that is no input, got {data.weight!r}")
    column_of_feature: dict[str, str] = {}
    for categorical in data.categorical:
        first = column_of_feature.setdefault(identifier(categorical.name), categorical.name)
        if first != categorical.name:
            raise ValueError(
                f"data.categorical: expected names that differ as identifiers, got {first!r} and {categorical.name!r}"
            )


def fit_columns(experiment: TableExperiment, folder: Path) -> FittedColumns:
    """Learn means, deviations, vocabularies and classes from the training rows of an experiment.

    experiment: its columns, its tasks, and the names of its training files.
    folder: the folder that the names of the files are relative to.

    The files are read once, and only one block and the vocabularies are in memory at a time. The rows that
    `validation_fraction` sets aside are not used. Means and deviations count each row once, whatever its weight.
    Raises ValueError, in one line, if the experiment's columns do not fit its tasks or if a file has something wrong.
    """
    check_columns(experiment.data, experiment.model.tasks)
    from shared_bottom.tables.encoding import column_names
    from shared_bottom.tables.fitting import fit_blocks

    data = experiment.data
    names = column_names(data, labels=True)
    return fit_blocks(experiment, _blocks(data, folder, data.train, names, experiment.train.seed, "training"))


def read_rows(
    columns: FittedColumns, folder: Path, paths: Sequence[str], subset: Subset = "all", labels: bool = True
) -> Dataset:
    """The rows of files, encoded: numeric float32, ids int32, labels and weights as `Dataset` describes them.

    columns: what `fit_columns` returned.
    folder: the folder that the paths are relative to.
    paths: the files, in the order in which their rows are returned.
    subset: "training" for the rows to train on only, "validation" for those that `validation_fraction` sets aside.
    Which rows these are depends on their numbers over all files, so `paths` must then be all of `columns.data.train`.
    labels: whether to read labels and weights. If not, the files need not have their columns.

    Raises ValueError, in one line, if a file has something wrong or if there are no such rows.
    """
    return concatenate(list(_encoded(columns, folder, paths, subset, labels)))


def stream_rows(columns: FittedColumns, folder: Path, paths: Sequence[str], labels: bool = False) -> Iterator[Dataset]:
    """The rows of files as `read_rows` returns them, but a batch at a time, within the memory of `data.memory_mb`.

    columns, folder, paths: as for `read_rows`.
    labels: whether to read labels and weights; unlike in `read_rows`, they are not read by default.

    There is at least one batch, and none is empty. Raises ValueError as `read_rows` does, while the rows are read.
    """
    return _encoded(columns, folder, paths, "all", labels)


def concatenate(batches: Sequence[Dataset]) -> Dataset:
    """The rows of batches of one table as one data set."""
    return Dataset(
        numeric=_joined([batch.numeric for batch in batches]),
        categorical=_joined([batch.categorical for batch in batches]),
        labels={task: np.concatenate([batch.labels[task] for batch in batches]) for task in batches[0].labels},
        sample_weight=_joined([batch.sample_weight for batch in batches]),
    )


def _joined(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The rows of all arrays. Either all batches have such an array or none has."""
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None


def _encoded(
    columns: FittedColumns, folder: Path, paths: Sequence[str], subset: Subset, labels: bool
) -> Iterator[Dataset]:
    from shared_bottom.tables.encoding import Encoder, column_names

    encode, names = Encoder(columns, labels=labels), column_names(columns.data, labels=labels)
    for block in _blocks(columns.data, folder, paths, names, columns.seed, subset):
        yield encode(block)


def _blocks(
    data: TableSpec, folder: Path, paths: Sequence[str], names: Sequence[str], seed: int, subset: Subset
) -> Iterator["Block"]:
    """The columns `names` of the files' rows. Raises ValueError if there are no such rows."""
    from shared_bottom.tables.files import read_blocks  # here, because it imports pyarrow, which a TOML does not need

    rows_read, empty = 0, True
    for path in paths:
        for block in read_blocks(data, folder / path, names):
            row_indices = np.arange(rows_read, rows_read + block.rows) & MASK
            rows_read += block.rows
            if subset != "all" and data.validation_fraction:
                # By the hash that dropout uses, so that whether a row is set aside depends only on the seed and on the
                # row's number over all files, and not on how the files are divided into blocks.
                training = keep(step_key(seed, 0), layer_key("validation"), row_indices, data.validation_fraction)
                block = block.filter(training if subset == "training" else ~training)
            elif subset == "validation":
                raise ValueError("data.validation_fraction: expected more than 0 to set rows aside, got 0.0")
            if block.rows:
                empty = False
                yield block
    if empty:
        expected = "rows" if subset == "all" else f"{subset} rows"
        raise ValueError(f"{', '.join(str(folder / path) for path in paths)}: expected {expected}, got none")


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
        "standardise": ("number", label.standardise),
    }
    for option, (label_kind, given) in options.items():
        if given and task.traits.label != label_kind:
            raise ValueError(
                f"{field}.{option}: expected none for the {task.kind} task, got {getattr(label, option)!r}"
            )
    if label.classes:
        classes = {canonical(value) for value in label.classes}
        if len(classes) != task.outputs or len(label.classes) != task.outputs:
            raise ValueError(f"{field}.classes: expected {task.outputs} distinct values, got {label.classes}")
