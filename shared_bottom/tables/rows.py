"""Own data from files: a TOML says which columns are what, and the rows are read from CSV or Parquet.

Files are read in blocks, so that the memory it takes does not grow with them; only `read_rows` holds all that it read.
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
from spec.table import LabelColumn, TableExperiment, TableSpec
from spec.validation import one_line

if TYPE_CHECKING:
    from shared_bottom.tables.blocks import Block

Part = Literal["all", "training", "validation"]


def read_table_experiment(path: Path) -> TableExperiment:
    """The experiment in a TOML file, checked. Raises OSError, or ValueError in one line that names file and field."""
    try:
        experiment = from_toml(TableExperiment, path.read_text(encoding="utf-8"))
        check_columns(experiment.data, experiment.model.tasks)
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
    return experiment


def check_columns(data: TableSpec, tasks: Sequence[TaskSpec]) -> None:
    """Raises ValueError, naming the field, for labels that do not fit the tasks, or that are inputs too."""
    by_name = {task.name: task for task in tasks}
    for name in data.labels:
        if name not in by_name:
            raise ValueError(f"data.labels: expected tasks among {', '.join(by_name)}, got {name!r}")
    for name, task in by_name.items():
        if name not in data.labels:
            raise ValueError(f"data.labels.{name}: expected the label of task {name!r}, got none")
        _check_label(f"data.labels.{name}", task, data.labels[name])
    for name, label in data.labels.items():
        for column in label.columns:
            if column in data.inputs:
                raise ValueError(f"data.labels.{name}.columns: expected a column that is no input, got {column!r}")
    if data.weight in data.inputs:
        raise ValueError(f"data.weight: expected a column that is no input, got {data.weight!r}")
    features: dict[str, str] = {}
    for categorical in data.categorical:
        first = features.setdefault(identifier(categorical.name), categorical.name)
        if first != categorical.name:
            raise ValueError(
                f"data.categorical: expected names that differ as identifiers, got {first!r} and {categorical.name!r}"
            )


def fit_columns(experiment: TableExperiment, folder: Path) -> FittedColumns:
    """Fit the columns on the training files in `folder`, in one pass that holds a block and the vocabularies.

    The rows that `validation_fraction` sets aside are not looked at. Means and deviations count each row once, whatever
    its weight. Raises ValueError in one line for a spec or a file that is not right.
    """
    check_columns(experiment.data, experiment.model.tasks)
    from shared_bottom.tables.encoding import column_names
    from shared_bottom.tables.fitting import fit_blocks

    data = experiment.data
    names = column_names(data, labels=True)
    return fit_blocks(experiment, _blocks(data, folder, data.train, names, experiment.train.seed, "training"))


def read_rows(
    columns: FittedColumns, folder: Path, paths: Sequence[str], part: Part = "all", labels: bool = True
) -> Dataset:
    """All rows of the files, encoded: numeric float32, ids int32; labels and weights as `Dataset` has them.

    part: those of the training files that are trained on or set aside, `paths` being all of `columns.data.train`.
    labels: without them, neither labels nor weights need be in the files. Raises ValueError as `fit_columns`.
    """
    parts = list(_encoded(columns, folder, paths, part, labels))
    first = parts[0]
    return Dataset(
        numeric=None if first.numeric is None else np.concatenate([p.numeric for p in parts if p.numeric is not None]),
        categorical=None
        if first.categorical is None
        else np.concatenate([p.categorical for p in parts if p.categorical is not None]),
        labels={task: np.concatenate([p.labels[task] for p in parts]) for task in first.labels},
        sample_weight=None
        if first.sample_weight is None
        else np.concatenate([p.sample_weight for p in parts if p.sample_weight is not None]),
    )


def stream_rows(columns: FittedColumns, folder: Path, paths: Sequence[str], labels: bool = False) -> Iterator[Dataset]:
    """The same rows in their order, in batches that keep within `memory_mb`; at least one batch, none of 0 rows."""
    return _encoded(columns, folder, paths, "all", labels)


def _encoded(columns: FittedColumns, folder: Path, paths: Sequence[str], part: Part, labels: bool) -> Iterator[Dataset]:
    from shared_bottom.tables.encoding import Encoder, column_names

    encode, names = Encoder(columns, labels=labels), column_names(columns.data, labels=labels)
    for block in _blocks(columns.data, folder, paths, names, columns.seed, part):
        yield encode(block)


def _blocks(
    data: TableSpec, folder: Path, paths: Sequence[str], names: Sequence[str], seed: int, part: Part
) -> Iterator["Block"]:
    from shared_bottom.tables.files import read_blocks  # pyarrow: to read a TOML needs none

    done, found = 0, False
    for path in paths:
        for block in read_blocks(data, folder / path, names):
            number = np.arange(done, done + block.rows) & MASK
            done += block.rows
            if part != "all" and data.validation_fraction:
                # Dropout's hash: whether a row is set aside depends on its number over all files and on nothing else.
                training = keep(step_key(seed, 0), layer_key("validation"), number, data.validation_fraction)
                block = block.filter(training if part == "training" else ~training)
            elif part == "validation":
                raise ValueError("data.validation_fraction: expected more than 0 to set rows aside, got 0.0")
            if block.rows:
                found = True
                yield block
    if not found:
        some = "rows" if part == "all" else f"{part} rows"
        raise ValueError(f"{', '.join(str(folder / path) for path in paths)}: expected {some}, got none")


def _check_label(field: str, task: TaskSpec, label: LabelColumn) -> None:
    columns = task.outputs if task.traits.label_per_output else 1
    if len(label.columns) != columns:
        raise ValueError(f"{field}.columns: expected {columns} for the {task.kind} task, got {len(label.columns)}")
    options = {
        "positive": ("truth", label.positive is not None),
        "classes": ("class", bool(label.classes)),
        "transform": ("number", label.transform != "none"),
        "standardise": ("number", label.standardise),
    }
    for option, (kind_of_label, given) in options.items():
        if given and task.traits.label != kind_of_label:
            raise ValueError(
                f"{field}.{option}: expected none for the {task.kind} task, got {getattr(label, option)!r}"
            )
    if label.classes:
        classes = {canonical(value) for value in label.classes}
        if len(classes) != task.outputs or len(label.classes) != task.outputs:
            raise ValueError(f"{field}.classes: expected {task.outputs} distinct values, got {label.classes}")
