"""Reads the rows that a network is trained on, and learns from them, in one pass over the table's files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from shared_bottom.tables.blocks import Block
from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.encoding import Encoder, column_names
from shared_bottom.tables.joined import Joined
from shared_bottom.tables.rows import (
    Subset,
    check_some,
    divided,
    is_folder_of,
    learn,
    read_rows,
    training_source,
)
from shared_bottom.tables.sources import Rows
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

    Raises ValueError as `fit_columns` and `read_rows` do, and OSError if the temporary file cannot be written.
    """
    check_columns(experiment.data, experiment.model.tasks)
    data, seed, source = experiment.data, experiment.train.seed, training_source(experiment.data, rows)
    if validation is not None and data.validation_fraction:
        raise ValueError(f"data.validation_fraction: expected 0 with validation rows, got {data.validation_fraction}")
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


def text_columns(experiment: TableExperiment) -> set[str]:
    """The columns whose values are texts that many rows have in common."""
    labels = experiment.data.labels
    tasks = [task.name for task in experiment.model.tasks if task.traits.label != "number"]
    return {column.name for column in experiment.data.categorical}.union(*(labels[task].columns for task in tasks))
