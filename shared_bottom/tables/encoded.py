"""Encodes a table in one pass over its files, into memory or into a cache of encoded tables."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from shared_bottom.tables.blocks import Block
from shared_bottom.tables.cache import (
    RowCacheWarning,
    keep,
    limit_bytes,
    look_up,
)
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.encoding import Encoder, column_names
from shared_bottom.tables.fitting import fit_blocks
from shared_bottom.tables.inherited import Inherited
from shared_bottom.tables.joined import Joined, Whole, joined
from shared_bottom.tables.key import FileState, key_of, state_of
from shared_bottom.tables.rows import check_some, divided, stream_rows
from shared_bottom.tables.sources import Source
from shared_bottom.tables.spool import Spool
from shared_bottom.tables.stored import Part, Stored, StoredRows
from shared_bottom.tables.tally import Tally, warn, with_validation
from shared_bottom.tables.turns import turn, unfinished_entry
from spec.data import Dataset
from spec.table import TableExperiment


class Encoded(NamedTuple):
    """A table that is encoded."""

    columns: FittedColumns
    training: Dataset
    validation: Dataset | None
    warnings: Sequence[str]
    """What was warned of, a line each."""


def encode_table(
    experiment: TableExperiment,
    source: Source,
    aside: Source | None,
    given: Mapping[str, Sequence[str]],
    inherited: Inherited,
    into: Callable[[Part], Whole] | None = None,
) -> Encoded:
    """Learn the columns of an experiment and encode its rows.

    source: the training rows, of which `validation_fraction` sets some aside.
    aside: the validation rows, if they are no such share.
    given: the values of given embeddings, by the name of the embedding table.
    inherited: what is taken over of an earlier run's columns.
    into: makes what the rows of a data set are put into; None: memory.

    Raises ValueError and warns as `shared_bottom.tables.training.read_table` does.
    """
    data, seed = experiment.data, experiment.train.seed
    subsets: tuple[Part, ...] = ("training", "validation") if data.validation_fraction else ("training",)
    counts = dict.fromkeys(subsets, 0)

    def training_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
        for parts in divided(data, seed, blocks):
            for subset, part in zip(subsets, parts, strict=True):
                counts[subset] += part.rows
            if parts[0].rows:
                yield parts[0]
        check_some(source, "training", counts["training"])

    tally = Tally()
    with Spool(text_columns(experiment)) as spool:
        blocks = source.blocks(data, column_names(data, labels=True))
        first, again = (2 * [list(blocks)]) if source.table is not None else (spool.filled(blocks), spool.blocks())
        columns, lines = fit_blocks(experiment, training_blocks(first), source.name, given, inherited)
        warn(lines)
        encode, tallies = Encoder(columns), {"training": None, "validation": tally}
        wholes = [Joined(counts[subset]) if into is None else into(subset) for subset in subsets]
        for parts in divided(data, seed, again):
            for whole, subset, part in zip(wholes, subsets, parts, strict=True):
                if part.rows:
                    whole.add(encode(part, labels=True, tally=tallies[subset]))
    for subset in subsets:
        check_some(source, subset, counts[subset])
    training, *validation = (whole.dataset() for whole in wholes)
    if aside is not None:
        batches = stream_rows(columns, aside, labels=True, tally=tally)
        validation = [joined(batches, None if into is None else into("validation"))]
    if not validation:
        return Encoded(columns, training, None, lines)
    of_validation = [f"validation rows: {line}" for line in tally.lines(columns)]
    warn(of_validation)
    return Encoded(with_validation(columns, tally), training, validation[0], lines + of_validation)


def read_cached(
    experiment: TableExperiment,
    source: Source,
    aside: Source | None,
    given: Mapping[str, Sequence[str]],
    inherited: Inherited,
    folder: Path,
) -> tuple[FittedColumns, Dataset, Dataset | None]:
    """What `encode_table` returns, but for the warnings, from an entry in a folder, which is made if there is none.

    source, aside: files.
    folder: that of the entries.

    Raises ValueError and OSError, and warns, as `shared_bottom.tables.training.read_table` does.
    """
    limit, states = limit_bytes(), _states(source, aside)
    path = folder / key_of(experiment, states, given, inherited)
    if (kept := look_up(path)) is not None:
        return _read(experiment, kept)
    with ExitStack() as stack:
        try:
            unfinished = stack.enter_context(unfinished_entry(folder))
            stack.enter_context(turn(path))
        except OSError as error:
            message = f"cache of tables {folder}: {error.strerror}; the rows are read into memory"
            warnings.warn(message, RowCacheWarning, stacklevel=3)
            return encode_table(experiment, source, aside, given, inherited)[:3]
        if (kept := look_up(path)) is not None:  # another process has made it meanwhile
            return _read(experiment, kept)
        with _errors_name(folder), StoredRows(unfinished) as stored:
            encoded = encode_table(experiment, source, aside, given, inherited, stored.part)
            tables = [os.fsencode(name).decode("utf-8", "replace") for files in states for name, *_ in files]
            stored.finish(encoded.columns, tables, encoded.warnings)
        if _states(source, aside) == states:
            keep(unfinished, path, limit)
        else:
            message = f"cache of tables: {source.name}: changed while it was read; the encoded rows are not kept"
            warnings.warn(message, RowCacheWarning, stacklevel=3)
    return encoded[:3]


def _read(experiment: TableExperiment, kept: Stored) -> tuple[FittedColumns, Dataset, Dataset | None]:
    """An entry as `read_cached` returns it. What does not decide how rows are encoded is that of the experiment."""
    warn(kept.entry.warnings)
    outputs = [task.outputs for task in kept.columns.tasks]
    columns = replace(
        kept.columns,
        data=experiment.data,
        seed=experiment.train.seed,
        tasks=tuple(replace(task, outputs=n) for task, n in zip(experiment.model.tasks, outputs, strict=True)),
    )
    columns.prediction_columns()  # the losses may be others, and with them the columns
    return columns, kept.parts["training"], kept.parts.get("validation")


def text_columns(experiment: TableExperiment) -> set[str]:
    """The columns whose values are texts that many rows have in common."""
    labels = experiment.data.labels
    tasks = [task.name for task in experiment.model.tasks if task.traits.label != "number"]
    named = {column.name for column in experiment.data.categorical}
    if experiment.data.group is not None:
        named.add(experiment.data.group)
    return named.union(*(labels[task].columns for task in tasks))


def _states(*sources: Source | None) -> list[list[FileState]]:
    return [[state_of(path) for path in source.files] if source is not None else [] for source in sources]


@contextmanager
def _errors_name(folder: Path) -> Iterator[None]:
    """An OSError of the block that names no file, or one in the folder, names the folder and says what helps."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not Path(error.filename).is_relative_to(folder):
            raise
        said = f"{error.strerror}; without a cache (--no-cache) the rows are in memory"
        raise OSError(error.errno, said, str(folder)) from error
