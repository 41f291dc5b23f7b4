"""The folder of a run, which the command line writes and reads.

    experiment.toml   the experiment as it ran, with absolute paths
    given.json        if embeddings are given: their values, so that a resumed run does not need the files
    checkpoints/      see docs/checkpoints.md
    model/            columns.json, model.json and params.safetensors: all that a backend needs to predict
    report.html, plots/, metrics.jsonl

Each file, and the folder model/ as a whole, is either complete or does not exist.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter

from shared_bottom import arrays
from shared_bottom.checkpoint.files import checkpoint_paths
from shared_bottom.disk import check_writable, make_folder, readable_folder, write_folder, write_whole
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.rows import check_columns
from shared_bottom.trained import Trained
from spec.files import Spec, from_json, to_json
from spec.model import ModelSpec
from spec.params import check_params
from spec.reading import read_bytes, read_text
from spec.results import DivergenceError
from spec.validation import one_line

EXPERIMENT, GIVEN, CHECKPOINTS, MODEL = "experiment.toml", "given.json", "checkpoints", "model"
COLUMNS, NETWORK, PARAMS = "columns.json", "model.json", "params.safetensors"


@contextmanager
def run_folder(path: Path, *, resume: bool) -> Iterator[None]:
    """A context in which a run writes into its folder.

    path: the folder. It is made if it does not exist, and so are its parents.
    resume: whether the folder may contain a run, to be resumed. If not, it must be new or empty.

    If the block ends with an error before any checkpoint was saved, everything that was made is removed, parents
    included. Only if the error is a DivergenceError all files stay. Raises ValueError if the folder contains
    something else or cannot be written.
    """
    missing_folders = [folder for folder in (path, *path.parents) if not folder.exists()]
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out: expected a folder, got the file {str(path)!r}")
    used = path.exists() and any(path.iterdir())
    if used and not resume:
        raise ValueError(f"--out: expected a new or an empty folder, or --resume, got {str(path)!r}")
    if used and not (path / EXPERIMENT).is_file():
        raise ValueError(f"--out: expected the folder of a run to resume, got {str(path)!r}, with no {EXPERIMENT}")
    try:
        make_folder(path)
        check_writable(path)
    except OSError as error:
        raise ValueError(f"--out: expected a folder to write in, got {str(path)!r}: {error.strerror}") from error
    try:
        yield
    except DivergenceError:
        raise
    except BaseException:
        if not used and not checkpoint_paths(path / CHECKPOINTS):
            for entry in path.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            for folder in missing_folders:
                folder.rmdir()
        raise


def write_given(folder: Path, values: Mapping[str, Sequence[str]]) -> None:
    """Write the values of given embeddings, by the name of the embedding table, into the folder of a run."""
    write_whole(folder / GIVEN, json.dumps(dict(values), ensure_ascii=False).encode())


def read_given(folder: Path) -> dict[str, list[str]]:
    """The values of given embeddings that a run began with, by the name of the embedding table.

    Raises ValueError, in one line that names the file, if it is damaged.
    """
    path = folder / GIVEN
    try:
        return TypeAdapter(dict[str, list[str]]).validate_json(path.read_bytes()) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error


def write_trained(folder: str | Path, trained: Trained) -> None:
    """Write the folder model/ of a run, in place of an earlier one. Raises OSError if it cannot be written.

    folder: the folder of the run. It is made if it does not exist.
    trained: the network to write, with its columns; not with its history.
    """
    contents = {
        COLUMNS: to_json(trained.columns).encode(),
        NETWORK: to_json(trained.model).encode(),
        PARAMS: arrays.to_bytes(trained.params),
    }
    make_folder(Path(folder))
    write_folder(Path(folder) / MODEL, contents)


def read_trained(folder: str | Path) -> Trained:
    """The trained network in the folder of a run.

    Raises ValueError, in one line that names the file, if there is none or if a file is damaged or does not fit the
    others, and OSError if a file cannot be read.
    """
    path = readable_folder(Path(folder) / MODEL)
    if not path.is_dir():
        raise ValueError(f"{folder}: expected a folder that fit has completed, found no {MODEL} in it")
    columns = _read(path / COLUMNS, FittedColumns)
    try:
        check_columns(columns.data, columns.tasks)
    except ValueError as error:
        raise ValueError(f"{path / COLUMNS}: {one_line(error)}") from error
    model = _read(path / NETWORK, ModelSpec)
    if model.tasks != columns.tasks or model != columns.model(model):
        raise ValueError(f"{path / NETWORK}: expected the inputs and tasks of {COLUMNS}, got others")
    try:
        params = arrays.from_bytes(read_bytes(path / PARAMS))
        check_params(model, params)
    except ValueError as error:
        raise ValueError(f"{path / PARAMS}: {one_line(error)}") from error
    return Trained(columns=columns, model=model, params=params)


def _read(path: Path, cls: type[Spec]) -> Spec:
    try:
        return from_json(cls, read_text(path))
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
