"""Reads the rows that a network is trained on, and learns from them, in one pass over the table's files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from shared_bottom.run.early_stopping import Monitor, check_stopping
from shared_bottom.tables.blocks import Block
from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.encoding import Encoder, column_names
from shared_bottom.tables.joined import Joined, joined, outcomes
from shared_bottom.tables.paths import check_file
from shared_bottom.tables.rows import (
    Subset,
    check_some,
    divided,
    fit_columns,
    is_folder_of,
    learn,
    read_rows,
    stream_rows,
    training_source,
)
from shared_bottom.tables.sources import Rows, source_of
from shared_bottom.tables.spool import Spool
from shared_bottom.tables.tally import Tally, warn_of_unknown, with_validation
from spec.data import Dataset
from spec.table import TableExperiment


def read_table(
    experiment: TableExperiment,
    rows: Rows = "",
    validation: Rows | None = None,
    given: Mapping[str, Sequence[str]] | None = None,
) -> tuple[FittedColumns, Dataset, Dataset | None]:
    """What is learnt from the training rows of an experiment; these rows, encoded; and the validation rows or None.

    experiment: its columns, its tasks, and the names of its files.
    rows: as in `fit_columns`: the folder that the names of the files are relative to, or else the rows themselves.
    validation: the validation rows, if they are other than the experiment says: the files that it names, or the share
    `validation_fraction` of the training rows.
    given: as in `fit_columns`.

    The results are those of `fit_columns` and `read_rows`, but each file is parsed once. In the meantime its rows are
    in a temporary file: memory is needed for `data.memory_mb`, the vocabularies and the encoded rows. A table in memory
    is read where it is; a pyarrow reader is first read to its end. The columns' summary also says how many values of
    the validation rows are unknown, and a DataWarning names the columns of which far more are than of the training
    rows', and the labels that are no class.

    Raises ValueError as `fit_columns` and `read_rows` do, before the rows are read as `check_before_reading` does, and
    OSError if the temporary file cannot be written.
    """
    check_before_reading(experiment, rows, validation)
    data, seed, source = experiment.data, experiment.train.seed, training_source(experiment.data, rows)
    subsets: tuple[Subset, ...] = ("training", "validation") if data.validation_fraction else ("training",)
    counts = dict.fromkeys(subsets, 0)

    def training_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
        for parts in divided(data, seed, blocks):
            for subset, part in zip(subsets, parts, strict=True):
                counts[subset] += part.rows
            if parts[0].rows:
                yield parts[0]
        check_some(source, "training", counts["training"])

    with Spool(text_columns(experiment)) as spool:
        blocks = source.blocks(data, column_names(data, labels=True))
        first, again = (2 * [list(blocks)]) if source.table is not None else (spool.filled(blocks), spool.blocks())
        columns = learn(experiment, source, training_blocks(first), given)
        tally = Tally()
        encoders = [
            Encoder(columns, labels=True, tally=tally if subset == "validation" else None) for subset in subsets
        ]
        parts_of_table = [Joined(counts[subset]) for subset in subsets]
        for parts in divided(data, seed, again):
            for whole, encode, part in zip(parts_of_table, encoders, parts, strict=True):
                if part.rows:
                    whole.add(encode(part))
    for subset in subsets:
        check_some(source, subset, counts[subset])
    training, *aside = (whole.dataset() for whole in parts_of_table)
    if validation is not None:
        aside = [read_rows(columns, validation, tally=tally)]
    elif data.validation and is_folder_of(data, rows):
        aside = [read_rows(columns, rows, data.validation, tally=tally)]
    if not aside:
        return columns, training, None
    warn_of_unknown(tally, columns, "validation rows: ")
    return with_validation(columns, tally), training, aside[0]


def check_table(experiment: TableExperiment, rows: Rows) -> FittedColumns:
    """What `read_table` learns from the files of an experiment, once all their rows are known to be as it needs them.

    experiment: its columns, its tasks, and the names of its files.
    rows: the folder that the names of the files are relative to.

    No row is kept, but the labels and weights of the validation rows; in return, the training files are read more than
    once. Raises ValueError and warns as `read_table` does, and raises ValueError if the validation rows do not have the
    labels that early stopping watches.
    """
    check_before_reading(experiment, rows)
    data, stopping, tally = experiment.data, experiment.train.early_stopping, Tally()
    columns = fit_columns(experiment, rows)
    for _ in stream_rows(columns, rows, data.train, labels=True, subset="training"):
        pass  # encoding it is the check
    if not (data.validation or data.validation_fraction):
        return columns
    subset: Subset = "all" if data.validation else "validation"
    batches = stream_rows(columns, rows, data.validation or data.train, labels=True, tally=tally, subset=subset)
    validation = joined(map(outcomes, batches))
    if stopping is not None:
        Monitor(columns.model(experiment.model), stopping, validation)
    warn_of_unknown(tally, columns, "validation rows: ")
    return with_validation(columns, tally)


def check_before_reading(experiment: TableExperiment, rows: Rows, validation: Rows | None = None) -> None:
    """Check what can be known of the training before a row is read.

    experiment, rows, validation: as in `read_table`.

    Raises ValueError if the columns do not fit the tasks, if early stopping watches what is not there, if validation
    rows are given twice, or if a file is not there, be it only for testing.
    """
    data = experiment.data
    check_columns(data, experiment.model.tasks)
    if validation is not None and data.validation_fraction:
        raise ValueError(f"data.validation_fraction: expected 0 with validation rows, got {data.validation_fraction}")
    in_folder = is_folder_of(data, rows)
    validated = validation is not None or data.validation_fraction > 0 or (in_folder and bool(data.validation))
    check_stopping(experiment.train, experiment.model.tasks, validation=validated)
    sources = [training_source(data, rows)]
    if validation is not None:
        sources.append(source_of(validation))
    elif in_folder:
        sources.append(source_of(data.validation, rows))
    if in_folder:
        sources.append(source_of(data.test, rows))
    for source in sources:
        for path in source.files:
            check_file(path)


def text_columns(experiment: TableExperiment) -> set[str]:
    """The columns whose values are texts that many rows have in common."""
    labels = experiment.data.labels
    tasks = [task.name for task in experiment.model.tasks if task.traits.label != "number"]
    return {column.name for column in experiment.data.categorical}.union(*(labels[task].columns for task in tasks))
