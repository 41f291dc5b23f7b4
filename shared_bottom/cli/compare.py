"""The command compare: shows runs side by side."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shared_bottom.checkpoint.files import checkpoint_paths
from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.checkpoint.format import MANIFEST
from shared_bottom.cli.live import status_of
from shared_bottom.cli.options import Compare
from shared_bottom.cli.printing import print_table
from shared_bottom.disk import check_output, keeping, write_whole
from shared_bottom.folder import CHECKPOINTS, EXPERIMENT
from shared_bottom.reports.comparison import ComparedRun, tables, written
from shared_bottom.reports.epochs import epoch_lines
from shared_bottom.run.watcher import METRICS
from shared_bottom.tables.rows import read_table_experiment
from spec.files import dotted
from spec.reading import parse_json, read_text
from spec.validation import one_line, unique

SUFFIXES = (".png", ".svg", ".html")


def compare(options: Compare) -> None:
    """Print the tables of the runs, and write the plot and the numbers if files for them are given."""
    folders = options.folders
    if not folders:
        raise ValueError("DIR: expected at least one folder of a run, got none")
    unique("DIR", map(str, folders))
    if options.out is not None and options.out.suffix not in SUFFIXES:
        raise ValueError(f"--out: expected a file {', '.join(SUFFIXES)}, got {str(options.out)!r}")
    for option, path in (("--out", options.out), ("--json", options.json)):
        check_output(option, path, folders)
    runs = [read_run(folder) for folder in folders]
    with keeping("nothing was written, and an earlier file is as it was"):
        if options.json:
            write_whole(options.json, json.dumps([vars(run) for run in runs], indent=2).encode() + b"\n")
        if options.out:
            write_whole(options.out, written(runs, options.out.suffix))
    for table in tables(runs):
        if table.rows:
            print_table(table.title, ["", *(run.name for run in runs)], table.rows)
        elif table.title and len(runs) > 1:
            print(table.title)


def read_run(folder: Path) -> ComparedRun:
    """The run in a folder, as far as it is.

    Raises ValueError, in one line that names the folder or the file, if there is none or if a file is damaged.
    """
    if not (folder / EXPERIMENT).is_file():
        raise ValueError(f"{folder}: expected the folder of a run, got one with no {EXPERIMENT}")
    fields = dotted(read_table_experiment(folder / EXPERIMENT))
    checkpoints = checkpoint_paths(folder / CHECKPOINTS)
    saved = _objects(checkpoints[-1] / MANIFEST)[0] if checkpoints else {}
    if (folder / METRICS).is_file():
        epochs = _objects(folder / METRICS, by_line=True)
    else:  # of a version that wrote the file at the run's end
        text = epoch_lines(load_checkpoint(folder / CHECKPOINTS).history) if checkpoints else ""
        epochs = [parse_json(line) for line in text.splitlines()]
    status = status_of(folder)
    return ComparedRun(
        name=str(folder),
        epochs=epochs,
        fields=fields,
        state=status.get("state"),
        backend=saved.get("backend") or status.get("backend"),
        execution=saved.get("execution"),
        best_epoch=(saved.get("best") or {}).get("epoch"),
    )


def _objects(path: Path, *, by_line: bool = False) -> list[dict[str, Any]]:
    """The JSON objects of a file: one, or one a line; a last line that is being written is left out.

    Raises ValueError, in one line that names the file, for what is no object.
    """
    try:
        text = read_text(path)
        parts = text[: text.rfind("\n") + 1].splitlines() if by_line else [text]
        return TypeAdapter(list[dict[str, Any]]).validate_python([parse_json(part) for part in parts])
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
