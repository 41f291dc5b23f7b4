"""predict: a table of predictions for tables of rows, a block at a time."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from shared_bottom.cli.options import Predict
from shared_bottom.disk import check_output, whole_file
from shared_bottom.folder import Trained, load, read_trained
from shared_bottom.tables.blocks import Block
from shared_bottom.tables.encoding import Encoder, column_names
from shared_bottom.tables.files import read_blocks
from spec.model import TaskSpec
from spec.params import Params
from spec.validation import one_line, unique

WRITERS: dict[str, Any] = {".parquet": parquet.ParquetWriter, ".csv": csv.CSVWriter}


def predict(options: Predict) -> None:
    """Reads, predicts and writes block by block, so that memory does not grow with the files."""
    if options.out.suffix not in WRITERS:
        raise ValueError(f"--out: expected a file {' or '.join(WRITERS)}, got {str(options.out)!r}")
    check_output("--out", options.out)
    if not options.files:
        raise ValueError("FILE: expected at least one, got none")
    trained = read_trained(options.folder)
    predictions = [name for task in trained.model.tasks for name in names(trained, task)]
    unique("--keep and the predictions", [*options.keep, *predictions])
    for path in options.files:  # so that a last file that is not right is known before the first is done
        next(read(trained, [path], options.keep), None)
    encode, backend = Encoder(trained.columns, labels=False), load(options.backend)
    with whole_file(options.out) as partial, ExitStack() as stack:
        writer, rows = None, 0
        for block in read(trained, options.files, options.keep):
            found = trained.predict(backend, encode(block), options.device)
            table = pa.table({name: block.columns[name] for name in options.keep} | predicted(trained, found))
            try:
                if writer is None:
                    schema = pa.schema([(field.name, _plain(field.type)) for field in table.schema])
                    writer = stack.enter_context(WRITERS[options.out.suffix](partial, schema))
                writer.write_table(table.cast(schema))
            except pa.ArrowException as error:  # a list that is to be kept in CSV, another type in a second file
                raise ValueError(f"{options.out}: {one_line(error)}") from error
            rows += table.num_rows
        if writer is None:
            raise ValueError(f"{', '.join(map(str, options.files))}: expected rows, got none")
    print(f"{rows:,} rows: {options.out}")


def read(trained: Trained, paths: Sequence[Path], keep: Sequence[str]) -> Iterator[Block]:
    """The files' blocks, with the inputs' columns and those to keep."""
    needed = tuple(dict.fromkeys([*column_names(trained.columns.data, labels=False), *keep]))
    for path in paths:
        yield from read_blocks(trained.columns.data, path, needed)


def names(trained: Trained, task: TaskSpec) -> list[str]:
    """The names of a task's columns."""
    if task.traits.label == "class":
        return [task.name, *(f"{task.name}_{value}" for value in trained.columns.classes[task.name])]
    return [task.name] if task.outputs == 1 else [f"{task.name}_{i}" for i in range(task.outputs)]


def predicted(trained: Trained, predictions: Params) -> dict[str, Any]:
    """The predictions' columns by name: see `Predict`."""
    table: dict[str, Any] = {}
    for task in trained.model.tasks:
        values = trained.columns.restore(task.name, predictions[task.name])
        arrays: list[Any] = list(values.reshape(len(values), -1).T)
        if task.traits.label == "class":
            classes = trained.columns.classes[task.name]
            arrays = [[classes[likeliest] for likeliest in values.argmax(axis=1)], *arrays]
        table |= dict(zip(names(trained, task), map(pa.array, arrays), strict=True))
    return table


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
