"""The folder of a run, which the command line writes and reads.

    experiment.toml   the experiment as it ran, with absolute paths
    checkpoints/      see docs/checkpoints.md
    model/            columns.json, model.json and params.safetensors: all that a backend needs to predict
    report.html, plots/, metrics.jsonl

Each file, and the folder model/ as a whole, is either complete or does not exist.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    """A trained network, and how the columns of a table become its inputs and its outputs become predictions."""

    columns: FittedColumns
    model: ModelSpec
    params: Params
    """The trained parameters by name, as `spec.params` describes them."""

    def predict(self, backend: Backend, rows: Dataset, device: Device) -> Params:
        """The network's predictions for a block of rows, by task, as `Backend.predict` returns them.

        backend: the backend that computes them. It need not be the one that trained the network.
        rows: the block, encoded. Labels and weights are not used.
        device: where to compute.
        """
        inputs = Dataset(numeric=rows.numeric, categorical=rows.categorical)
        return backend.predict(self.model, self.params, inputs, device=device)


def choose_backend(name: str | None) -> Backend:
    """The backend with this name or, if it is None, the first backend whose framework is installed.

    Raises ValueError if there is no such backend, and ImportError if its framework, or that of any backend, is not
    installed.
    """
    import_errors = []
    for candidate in backend_names() if name is None else [name]:
        try:
            return load_backend(candidate)
        except ImportError as error:
            import_errors.append(str(error))
    raise ImportError("; ".join(import_errors))


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


def write_trained(folder: Path, trained: Trained) -> None:
    """Write the folder model/ of a run, in place of an earlier one. Raises OSError if it cannot be written.

    folder: the folder of the run.
    trained: the network to write.
    """
    contents = {
        COLUMNS: to_json(trained.columns).encode(),
        NETWORK: to_json(trained.model).encode(),
        PARAMS: tensors.save(trained.params),
    }
    write_folder(folder / MODEL, contents)


def read_trained(folder: Path) -> Trained:
    """The trained network in the folder of a run.

    Raises ValueError, in one line that names the file, if there is none or if a file is damaged or does not fit the
    others, and OSError if a file cannot be read.
    """
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
