"""What the folder of a run says of it, while it is running and afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from shared_bottom.checkpoint.files import checkpoint_paths
from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.checkpoint.format import MANIFEST
from shared_bottom.folder import CHECKPOINTS, EXPERIMENT
from shared_bottom.reports.comparison import ComparedRun, EpochLine
from shared_bottom.reports.epochs import epoch_lines
from shared_bottom.run.status import Status
from shared_bottom.run.watcher import METRICS, STATUS
from shared_bottom.tables.rows import read_table_experiment
from spec.files import dotted
from spec.reading import parse_json, read_text
from spec.validation import Width, one_line

Read = TypeVar("Read")


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Best:
    """What a checkpoint says of the best epoch, as far as it is shown."""

    epoch: Width


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class Saved:
    """What a checkpoint says of the run, as far as it is shown."""

    backend: str | None = None
    execution: str | None = None
    best: Best | None = None


def read_run(folder: Path) -> ComparedRun:
    """The run in a folder, as far as it is.

    Raises ValueError, in one line that names the folder or the file, if there is none or if a file is damaged.
    """
    if not (folder / EXPERIMENT).is_file():
        raise ValueError(f"{folder}: expected the folder of a run, got one with no {EXPERIMENT}")
    experiment = read_table_experiment(folder / EXPERIMENT)
    checkpoints = checkpoint_paths(folder / CHECKPOINTS)
    saved = _read(Saved, checkpoints[-1] / MANIFEST) if checkpoints else Saved()
    status = _read(Status, folder / STATUS) if (folder / STATUS).is_file() else Status()
    if (folder / METRICS).is_file():
        with _naming(folder / METRICS):
            lines = read_text(folder / METRICS)
            epochs = _epochs(lines[: lines.rfind("\n") + 1])  # without a last line that is being written
    else:  # of a version that wrote the file at the run's end
        epochs = _epochs(epoch_lines(load_checkpoint(folder / CHECKPOINTS).history)) if checkpoints else []
    return ComparedRun(
        name=str(folder),
        epochs=epochs,
        fields=dotted(experiment),
        state=status.now(),
        backend=saved.backend or status.backend,
        execution=saved.execution,
        best_epoch=saved.best.epoch if saved.best else None,
    )


def _epochs(lines: str) -> list[EpochLine]:
    return TypeAdapter(list[EpochLine]).validate_python([parse_json(line) for line in lines.splitlines()])


def _read(cls: type[Read], path: Path) -> Read:
    with _naming(path):
        return TypeAdapter(cls).validate_python(parse_json(read_text(path)))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A ValueError of the block is one line that begins with the name of the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
