"""Reads a user's table: a TOML file says what each column is, and the rows come from files or a table in memory.

Rows are read in blocks, so the memory that is needed does not grow with the size of the files. Only `read_rows` returns
all rows at once.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.joined import joined
from shared_bottom.tables.paths import Name
from shared_bottom.tables.sources import Rows, Source, source_of
from shared_bottom.tables.tally import Tally, warn
from spec.data import Dataset
from spec.files import from_toml
from spec.random import MASK, keep, layer_key, step_key
from spec.reading import parse_toml, read_text
from spec.table import TableExperiment, TableSpec
from spec.validation import one_line

if TYPE_CHECKING:
    from shared_bottom.tables.blocks import Block
    from shared_bottom.tables.encoding import Encoder

Subset = Literal["all", "training", "validation"]
"""Which rows of the training files: all, those to train on, or those that `validation_fraction` sets aside."""


def read_table_experiment(path: Name) -> TableExperiment:
    """The experiment in a TOML file.

    Raises OSError if the file cannot be read, and ValueError, in one line that names the file and the field, if its
    content is not a valid experiment.
    """
    try:
        experiment = from_toml(TableExperiment, read_text(Path(path)))
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


def fit_columns(
    experiment: TableExperiment,
    rows: Rows,
    given: Mapping[str, Sequence[str]] | None = None,
    earlier: FittedColumns | None = None,
) -> FittedColumns:
    """Learn means, deviations, vocabularies and classes from the training rows of an experiment.

    experiment: its columns, its tasks, and the names of its training files.
    rows: the folder that the names of the files, those of given embeddings too, are relative to; or, instead of the
    files that the experiment names, other files or a table in memory. See `shared_bottom.tables.sources.Rows`.
    given: by the name of the embedding table, the values of given embeddings; None: they are read from their files.
    earlier: the columns of a run whose parameters this one starts from: see `shared_bottom.tables.inherited`, which
    says what is taken over of them. None: all is learnt from the rows.

    The rows are read once, and only one block and the vocabularies are in memory at a time. The rows that
    `validation_fraction` sets aside are not used. Means and deviations count each row once, whatever its weight.
    Raises ValueError, in one line, if the experiment's columns do not fit its tasks or if a file, or the table in
    memory, has something wrong.
    """
    check_columns(experiment.data, experiment.model.tasks)
    from shared_bottom.tables.embeddings import given_values
    from shared_bottom.tables.encoding import column_names
    from shared_bottom.tables.fitting import fit_blocks
    from shared_bottom.tables.inherited import inherited

    data, source = experiment.data, training_source(experiment.data, rows)
    if given is None:
        given = given_values(data, source.folder)
    blocks = _blocks(data, source, column_names(data, labels=True), experiment.train.seed, "training")
    columns, lines = fit_blocks(experiment, blocks, source.name, given, inherited(experiment, earlier))
    warn(lines)
    return columns


def read_rows(
    columns: FittedColumns,
    rows: Rows,
    paths: Rows | None = None,
    subset: Subset = "all",
    labels: bool = True,
    tally: Tally | None = None,
) -> Dataset:
    """Rows, encoded: numeric float32, ids int32, labels, weights and groups as `Dataset` describes them.

    columns: what `fit_columns` returned.
    rows: files or a table in memory; or, with `paths`, the folder that they are relative to.
    paths: a file, folder or pattern, or several, in the order in which their rows are returned.
    subset: "training" for the rows to train on only, "validation" for those that `validation_fraction` sets aside.
    Which rows these are depends on their numbers over all files, so the files must then be all of the training files,
    of which the first `data.rows` count.
    labels: whether to read labels, weights and groups. If not, the rows need not have their columns.
    tally: counts the values that the training rows do not have; None: they are not counted.

    Raises ValueError, in one line, if a file has something wrong or if there are no such rows.
    """
    return joined(stream_rows(columns, rows, paths, labels, tally, subset))


def stream_rows(
    columns: FittedColumns,
    rows: Rows,
    paths: Rows | None = None,
    labels: bool = False,
    tally: Tally | None = None,
    subset: Subset = "all",
) -> Iterator[Dataset]:
    """The rows that `read_rows` returns, but a batch at a time, within the memory of `data.memory_mb`.

    columns, rows, paths, tally, subset: as for `read_rows`.
    labels: whether to read labels, weights and groups; unlike in `read_rows`, they are not read by default.

    There is at least one batch, and none is empty. Raises ValueError as `read_rows` does, while the rows are read.
    """
    from shared_bottom.tables.encoding import Encoder

    source = source_of(rows) if paths is None else source_of(paths, rows)
    if subset != "all":
        source = replace(source, most=columns.data.rows)
    return encoded_batches(Encoder(columns), source, labels=labels, tally=tally, subset=subset)


def encoded_batches(
    encode: "Encoder", source: Source, *, labels: bool, tally: Tally | None, subset: Subset = "all"
) -> Iterator[Dataset]:
    """What `stream_rows` returns, with an encoder that was made before."""
    from shared_bottom.tables.encoding import column_names

    columns = encode.columns
    names = column_names(columns.data, labels=labels)
    for block in _blocks(columns.data, source, names, columns.seed, subset):
        yield encode(block, labels=labels, tally=tally)


def training_source(data: TableSpec, rows: Rows) -> Source:
    """The training rows: the files that `data` names, if `rows` is their folder, or else the rows themselves; the first
    `data.rows` of them.
    """
    if is_folder_of(data, rows):
        return replace(source_of(data.train, rows), most=data.rows)
    if isinstance(rows, str | os.PathLike) and Path(rows) == Path():
        raise ValueError("data.train: expected the names of files, got none")
    return replace(source_of(rows), most=data.rows)


def validation_source(data: TableSpec, rows: Rows, validation: Rows | None) -> Source | None:
    """The validation rows, if they are no share of the training rows; the first `data.rows` of them.

    validation: rows that a user names in place of the files of `data`; None: these files, if `rows` is their folder.
    """
    if validation is not None:
        return replace(source_of(validation), most=data.rows)
    named = data.validation and is_folder_of(data, rows)
    return replace(source_of(data.validation, rows), most=data.rows) if named else None


def is_folder_of(data: TableSpec, rows: Rows) -> bool:
    """Whether `rows` is the folder of the files that `data` names, and not another file or a table in memory."""
    return bool(data.train) and isinstance(rows, str | os.PathLike) and not Path(rows).is_file()


def divided(data: TableSpec, seed: int, blocks: Iterable["Block"]) -> Iterator[tuple["Block", ...]]:
    """Of each block of the training files, the rows to train on and, with `validation_fraction`, those set aside.

    data: the share of rows that is set aside.
    seed: the field `train.seed`.
    blocks: all rows of the training files.
    """
    rows_read = 0
    for block in blocks:
        if not data.validation_fraction:
            yield (block,)
            continue
        row_indices = np.arange(rows_read, rows_read + block.rows) & MASK
        rows_read += block.rows
        # By the hash that dropout uses, so that whether a row is set aside depends only on the seed and on the row's
        # number over all files, and not on how the files are divided into blocks.
        training = keep(step_key(seed, 0), layer_key("validation"), row_indices, data.validation_fraction)
        yield block.filter(training), block.filter(~training)


def check_some(source: Source, subset: Subset, rows: int) -> None:
    """Raises ValueError if there are no rows."""
    if not rows:
        expected = "rows" if subset == "all" else f"{subset} rows"
        raise ValueError(f"{source.name}: expected {expected}, got none")


def _blocks(data: TableSpec, source: Source, names: Sequence[str], seed: int, subset: Subset) -> Iterator["Block"]:
    """The columns `names` of the rows, in blocks that are not empty. Raises ValueError if there are no such rows."""
    if subset == "validation" and not data.validation_fraction:
        raise ValueError("data.validation_fraction: expected more than 0 to set rows aside, got 0.0")
    blocks, rows_read = source.blocks(data, names), 0
    if subset != "all":
        blocks = (parts[subset == "validation"] for parts in divided(data, seed, blocks))
    for block in blocks:
        rows_read += block.rows
        if block.rows:
            yield block
    check_some(source, subset, rows_read)
