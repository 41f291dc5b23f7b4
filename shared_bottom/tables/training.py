"""The rows that a network is trained on, and what is learnt from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from shared_bottom.run.early_stopping import Monitor, check_stopping
from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.embeddings import given_values
from shared_bottom.tables.encoded import encode_table, read_cached
from shared_bottom.tables.inherited import inherited
from shared_bottom.tables.joined import joined, outcomes
from shared_bottom.tables.paths import Name, check_file
from shared_bottom.tables.rows import (
    fit_columns,
    is_folder_of,
    stream_rows,
    training_source,
    validation_source,
)
from shared_bottom.tables.sources import Rows, source_of
from shared_bottom.tables.tally import Tally, warn_of_unknown, with_validation
from spec.data import Dataset
from spec.table import TableExperiment


def read_table(
    experiment: TableExperiment,
    rows: Rows = "",
    validation: Rows | None = None,
    given: Mapping[str, Sequence[str]] | None = None,
    *,
    cache: Name | None = None,
    earlier: FittedColumns | None = None,
) -> tuple[FittedColumns, Dataset, Dataset | None]:
    """What is learnt from the training rows of an experiment; these rows, encoded; and the validation rows or None.

    experiment: its columns, its tasks, and the names of its files.
    rows: as in `fit_columns`: the folder that the names of the files are relative to, or else the rows themselves.
    validation: the validation rows, if they are other than the experiment says: the files that it names, or the share
    `validation_fraction` of the training rows.
    given: as in `fit_columns`.
    cache: a folder in which the encoded rows of files are kept, so that they need not be read again as long as neither
    the files nor what decides the encoding have changed. The arrays are then memory maps, and the rows need no memory.
    None: they are in memory, as are all rows of which some come from a table in memory.
    earlier: as in `fit_columns`.

    The results are those of `fit_columns` and `read_rows`, but each file is parsed once. In the meantime its rows are
    in a temporary file: memory is needed for `data.memory_mb`, the vocabularies and, without a cache, the encoded rows.
    A table in memory is read where it is; a pyarrow reader is first read to its end. The columns' summary also says how
    many values of the validation rows are unknown, and a DataWarning names the columns of which far more are than of
    the training rows', and the labels that are no class.

    Raises ValueError as `fit_columns` and `read_rows` do, before the rows are read as `check_before_reading` does, and
    OSError if the temporary file or the cache cannot be written. Into a folder where nothing can be made, nothing is
    written: a RowCacheWarning says so.
    """
    check_before_reading(experiment, rows, validation)
    sources = training_source(experiment.data, rows), validation_source(experiment.data, rows, validation)
    if given is None:
        given = given_values(experiment.data, sources[0].folder)
    taken_over = inherited(experiment, earlier)
    if cache is None or any(source is not None and source.table is not None for source in sources):
        return encode_table(experiment, *sources, given, taken_over)[:3]
    return read_cached(experiment, *sources, given, taken_over, Path(cache).absolute())


def check_table(experiment: TableExperiment, rows: Rows) -> FittedColumns:
    """What `read_table` learns from the files of an experiment, once all their rows are known to be as it needs them.

    experiment: its columns, its tasks, and the names of its files.
    rows: the folder that the names of the files are relative to.

    No row is kept, but the labels, weights and groups of the validation rows; in return, the training files are read
    more than once. Raises ValueError and warns as `read_table` does, and raises ValueError if the validation rows do
    not have the labels that early stopping watches.
    """
    check_before_reading(experiment, rows)
    data, stopping, tally = experiment.data, experiment.train.early_stopping, Tally()
    columns = fit_columns(experiment, rows)
    for _ in stream_rows(columns, rows, data.train, labels=True, subset="training"):
        pass  # encoding it is the check
    if not (data.validation or data.validation_fraction):
        return columns
    if (aside := validation_source(data, rows, None)) is not None:
        batches = stream_rows(columns, aside, labels=True, tally=tally)
    else:
        batches = stream_rows(columns, rows, data.train, labels=True, tally=tally, subset="validation")
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
    aside = validation_source(data, rows, validation)
    validated = aside is not None or data.validation_fraction > 0
    check_stopping(experiment.train, experiment.model.tasks, validation=validated)
    sources = [training_source(data, rows), aside, source_of(data.test, rows) if is_folder_of(data, rows) else None]
    for source in sources:
        for path in source.files if source is not None else ():
            check_file(path)
