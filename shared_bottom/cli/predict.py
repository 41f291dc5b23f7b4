"""The command predict: writes a table of predictions for the rows of tables, a block at a time."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from shared_bottom.cli.dialect import in_dialect
from shared_bottom.cli.options import Predict
from shared_bottom.cli.unknown import check_max_unknown, check_unknown
from shared_bottom.disk import check_output, check_suffix, keeping, whole_file
from shared_bottom.folder import READ_AGAIN, read_trained
from shared_bottom.predictions import prediction_arrays
from shared_bottom.tables.encoding import Encoder, column_names
from shared_bottom.tables.files import read_blocks
from shared_bottom.tables.rows import check_some
from shared_bottom.tables.sources import source_of
from shared_bottom.tables.tally import Tally, warn_of_unknown
from shared_bottom.trained import choose_backend
from spec.machine import check_threads
from spec.validation import one_line

WRITERS: dict[str, Any] = {".parquet": parquet.ParquetWriter, ".csv": csv.CSVWriter}
"""The pyarrow class that writes a file, by the file's suffix."""


def predict(options: Predict) -> None:
    """Write the predictions of a run's network for the rows of tables.

    Rows are read, predicted and written a block at a time, so that the memory does not grow with the files.
    """
    check_suffix("--out", options.out, WRITERS)
    source = source_of(options.files)
    check_output("--out", options.out, [*source.files, *map(options.folder.joinpath, READ_AGAIN)])
    check_threads(options.threads)
    check_max_unknown(options.max_unknown)
    if not options.files:
        raise ValueError("FILE: expected at least one, got none")
    trained = read_trained(options.folder)
    columns = in_dialect(trained.columns, options.dialect)
    backend = choose_backend(options.backend).name
    trained = replace(trained, columns=columns, backend=backend, device=options.device, threads=options.threads)
    data = trained.columns.data
    needed = tuple(dict.fromkeys([*column_names(data, labels=False), *options.keep]))
    names = trained.columns.prediction_columns()
    kept_names = names_of_kept(options.keep, [name for names_of_task in names.values() for name in names_of_task])
    for path in source.files:  # so that an error in the last file is reported before the first file is predicted
        next(read_blocks(data, path, needed), None)
    tally, encode = Tally(), Encoder(trained.columns)
    with (
        keeping("nothing was written, and an earlier file is as it was"),
        whole_file(options.out) as file,
        ExitStack() as stack,
    ):
        writer, rows = None, 0
        for block in source.blocks(data, needed):
            predictions = trained.predictor.predict(encode(block, labels=False, tally=tally))
            kept = {name: block.columns[column] for column, name in kept_names.items()}
            if options.out.suffix == ".csv":
                check_single_values(kept)
            table = pa.table(kept | prediction_arrays(trained.columns, predictions))
            try:
                if writer is None:
                    schema = pa.schema([(field.name, _without_dictionary(field.type)) for field in table.schema])
                    writer = stack.enter_context(WRITERS[options.out.suffix](file, schema))
                writer.write_table(table.cast(schema))
            except pa.ArrowException as error:  # two files may differ in a column's type
                raise ValueError(f"{options.out}: {one_line(error)}") from error
            rows += table.num_rows
        check_some(source, "all", rows)
        check_unknown(tally, options.max_unknown)
    warn_of_unknown(tally, trained.columns)
    print(f"{rows:,} rows: {options.out}")


def names_of_kept(keep: Sequence[str], predicted: Sequence[str]) -> dict[str, str]:
    """The name that each column to keep has beside the predictions, by its name in the table: see `Predict`.

    keep: the columns to keep.
    predicted: the names of the columns of the predictions.
    """
    names: dict[str, str] = {}
    for column in dict.fromkeys(keep):
        name = column
        while name in predicted or name in names.values() or (name != column and name in keep):
            name += "_kept"
        names[column] = name
    return names


def check_single_values(kept: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the column, if one holds lists or the like, which a CSV file cannot.

    kept: the columns, as arrays of pyarrow by name.
    """
    for name, values in kept.items():
        if pa.types.is_nested(values.type):
            raise ValueError(f"--keep: expected columns of single values for CSV, got {values.type} in {name!r}")


def _without_dictionary(arrow_type: Any) -> Any:
    """The type of the values of a dictionary-encoded column, or the type itself of any other column."""
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
