"""The folder of a run.

    experiment.toml   the experiment as it ran, its paths absolute
    checkpoints/      see docs/checkpoints.md
    model/            columns.json, model.json, params.safetensors: all that predicting takes, whichever the framework
    report.html, plots/, metrics.jsonl

Each is there whole or not at all.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as tensors

from shared_bottom.checkpoint.files import checkpoint_paths
from shared_bottom.disk import check_writable, make_folder, readable_folder, write_folder
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.rows import check_columns
from spec.backend import Backend, backend_names, load_backend
from spec.data import Dataset
from spec.files import Spec, from_json, to_json
from spec.model import ModelSpec
from spec.params import Params, check_params
from spec.results import DivergenceError
from spec.training import Device
from spec.validation import one_line

EXPERIMENT, CHECKPOINTS, MODEL = "experiment.toml", "checkpoints", "model"
COLUMNS, NETWORK, PARAMS = "columns.json", "model.json", "params.safetensors"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network, and what its inputs and outputs are in a table."""

    columns: FittedColumns
    model: ModelSpec
    params: Params

    def predict(self, backend: Backend, rows: Dataset, device: Device) -> Params:
        """`Backend.predict` of a block of a table, of which there may be many, each with a number of rows of its own.

        Rows are repeated up to a power of two, because a backend may compile anew for each number of rows.
        """
        index = np.resize(np.arange(rows.rows), 1 << (rows.rows - 1).bit_length())
        padded = Dataset(numeric=rows.numeric, categorical=rows.categorical).take(index)
        predictions = backend.predict(self.model, self.params, padded, device=device)
        return {task: values[: rows.rows] for task, values in predictions.items()}


def load(name: str | None) -> Backend:
    """The backend of that name; without one, the first that is installed. Raises ValueError or ImportError."""
    missing = []
    for choice in backend_names() if name is None else [name]:
        try:
            return load_backend(choice)
        except ImportError as error:
            missing.append(str(error))
    raise ImportError("; ".join(missing))


@contextmanager
def run_folder(path: Path, *, resume: bool) -> Iterator[None]:
    """The folder `path`, made if it is missing, for one run.

    If the block ends in an error before a step was saved, the folder is again as it was before, its parents too.
    Raises ValueError if it holds something else than the run to resume, or cannot be written.
    """
    there, new = path.exists(), [folder for folder in (path, *path.parents) if not folder.exists()]
    if there and not path.is_dir():
        raise ValueError(f"--out: expected a folder, got the file {str(path)!r}")
    used = there and any(path.iterdir())
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
            for own in path.iterdir():
                shutil.rmtree(own) if own.is_dir() else own.unlink()
            for folder in new:
                folder.rmdir()
        raise


def write_trained(folder: Path, trained: Trained) -> None:
    """Writes model/ in `folder`, in the place of an earlier one. Raises OSError."""
    contents = {
        COLUMNS: to_json(trained.columns).encode(),
        NETWORK: to_json(trained.model).encode(),
        PARAMS: tensors.save(trained.params),
    }
    write_folder(folder / MODEL, contents)


def read_trained(folder: Path) -> Trained:
    """What model/ in `folder` holds. Raises ValueError in one line that names the file, or OSError."""
    path = readable_folder(folder / MODEL)
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
        params = tensors.load((path / PARAMS).read_bytes())
        check_params(model, params)
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path / PARAMS}: {one_line(error)}") from error
    return Trained(columns=columns, model=model, params=params)


def _read(path: Path, cls: type[Spec]) -> Spec:
    try:
        return from_json(cls, path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
