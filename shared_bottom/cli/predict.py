"""The command predict: writes a table of predictions for the rows of tables, a block at a time."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from shared_bottom.cli.options import Predict
from shared_bottom.disk import check_output, keeping, whole_file
from shared_bottom.folder import READ_AGAIN, Trained, choose_backend, read_trained
from shared_bottom.tables.blocks import Block
from shared_bottom.tables.encoding import Encoder, column_names
from shared_bottom.tables.files import read_blocks
from spec.model import TaskSpec
from spec.params import Params
from spec.validation import one_line, unique

WRITERS: dict[str, Any] = {".parquet": parquet.ParquetWriter, ".csv": csv.CSVWriter}
"""The pyarrow class that writes a file, by the file's suffix."""


def predict(options: Predict) -> None:
    """Write the predictions of a run's network for the rows of tables.

    Rows are read, predicted and written a block at a time, so that the memory does not grow with the files.
    """
    if options.out.suffix not in WRITERS:
        raise ValueError(f"--out: expected a file {' or '.join(WRITERS)}, got {str(options.out)!r}")
    check_output("--out", options.out, [*options.files, *map(options.folder.joinpath, READ_AGAIN)])
    if not options.files:
        raise ValueError("FILE: expected at least one, got none")
    trained = read_trained(options.folder)
    prediction_columns = [name for task in trained.model.tasks for name in prediction_names(trained, task)]
    unique("--keep and the predictions", [*options.keep, *prediction_columns])
    for path in options.files:  # so that an error in the last file is reported before the first file is predicted
        next(read_inputs(trained, [path], options.keep), None)
    encode, backend = Encoder(trained.columns, labels=False), choose_backend(options.backend)
    with (
        keeping("nothing was written, and an earlier file is as it was"),
        whole_file(options.out) as file,
        ExitStack() as stack,
    ):
        writer, rows = None, 0
        for block in read_inputs(trained, options.files, options.keep):
            predictions = trained.predict(backend, encode(block), options.device)
            kept = {name: block.columns[name] for name in options.keep}
            table = pa.table(kept | prediction_arrays(trained, predictions))
            try:
                if writer is None:
                    schema = pa.schema([(field.name, _without_dictionary(field.type)) for field in table.schema])
                    writer = stack.enter_context(WRITERS[options.out.suffix](file, schema))
                writer.write_table(table.cast(schema))
            except pa.ArrowException as error:  # CSV cannot store a list, and two files may differ in a column's type
                raise ValueError(f"{options.out}: {one_line(error)}") from error
            rows += table.num_rows
        if writer is None:
            raise ValueError(f"{', '.join(map(str, options.files))}: expected rows, got none")
    print(f"{rows:,} rows: {options.out}")


def read_inputs(trained: Trained, paths: Sequence[Path], keep: Sequence[str]) -> Iterator[Block]:
    """The rows of files, a block at a time, with the columns that are needed.

    trained: the network, whose inputs are needed.
    paths: the files.
    keep: the names of further columns.
    """
    needed = tuple(dict.fromkeys([*column_names(trained.columns.data, labels=False), *keep]))
    for path in paths:
        yield from read_blocks(trained.columns.data, path, needed)


def prediction_names(trained: Trained, task: TaskSpec) -> list[str]:
    """The names of the columns with a task's predictions: see `Predict`."""
    if task.traits.label == "class":
        return [task.name, *(f"{task.name}_{value}" for value in trained.columns.classes[task.name])]
    return [task.name] if task.outputs == 1 else [f"{task.name}_{i}" for i in range(task.outputs)]


def prediction_arrays(trained: Trained, predictions: Params) -> dict[str, Any]:
    """The columns with the predictions of all tasks, as pyarrow arrays by name: see `Predict`.

    trained: the network, and the units and classes of its labels.
    predictions: its predictions by task, as `Backend.predict` returns them.
    """
    columns: dict[str, Any] = {}
    for task in trained.model.tasks:
        values = trained.columns.restore(task.name, predictions[task.name])
        arrays: list[Any] = list(values.reshape(len(values), -1).T)
        if task.traits.label == "class":
            classes = trained.columns.classes[task.name]
            arrays = [[classes[likeliest] for likeliest in values.argmax(axis=1)], *arrays]
        columns |= dict(zip(prediction_names(trained, task), map(pa.array, arrays), strict=True))
    return columns


def _without_dictionary(arrow_type: Any) -> Any:
    """The type of the values of a dictionary-encoded column, or the type itself of any other column."""
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
