"""The folder of a run, which the command line writes and reads.

    experiment.toml   the experiment as it ran, with absolute paths
    checkpoints/      see docs/checkpoints.md
    model/            columns.json, model.json and params.safetensors: all that a backend needs to predict; their
                      checksums are in model.sha256
    report.html, plots/, metrics.jsonl
    .lock             as long as a run uses the folder

Each file, and the folder model/ as a whole, is either complete or does not exist.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as tensors

from shared_bottom.checkpoint.files import checkpoint_paths
from shared_bottom.disk import readable_folder, write_folder
from shared_bottom.lock import LOCK, folder_of_one_run, is_still, is_unused
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
READ_AGAIN = (EXPERIMENT, CHECKPOINTS, MODEL)
"""What the commands read again, so that nothing else may be written in its place."""
CHECKSUMS = "model.sha256"
"""The SHA-256 of the other files of model/, as `sha256sum` writes and checks it."""


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

        A table has many blocks, whose numbers of rows differ, and a backend may compile again for each number of rows.
        Therefore rows are repeated until their number is a power of two.
        """
        repeated = np.resize(np.arange(rows.rows), 1 << (rows.rows - 1).bit_length())
        padded = Dataset(numeric=rows.numeric, categorical=rows.categorical).take(repeated)
        predictions = backend.predict(self.model, self.params, padded, device=device)
        return {task: values[: rows.rows] for task, values in predictions.items()}


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
    """A context in which a run writes into its folder, and no other run does.

    path: the folder. It is made if it does not exist, and so are its parents.
    resume: whether the folder may contain a run, to be resumed. If not, it must be new or empty.

    If the block ends with an error before a checkpoint or the model was saved, what this run made is removed, parents
    included, and nothing else. Only if the error is a DivergenceError all files stay. Raises ValueError if the folder
    contains something else, cannot be written, or another run is using it.
    """
    check_usable(path, resume)  # before a lock file is made in a folder that is somebody else's
    with folder_of_one_run("--out", path) as made:
        place = path.stat()
        try:
            used = check_usable(path, resume)  # a run may have begun and ended there in between
            try:
                yield
            except DivergenceError:
                raise
            except BaseException:
                kept = checkpoint_paths(path / CHECKPOINTS) or (path / MODEL).exists()
                if not used and not kept and is_still(path, place):
                    _remove_beginnings(path, made)
                raise
        finally:
            with suppress(OSError):  # where the disk has become read-only, that is not the news
                if is_still(path, place):
                    (path / LOCK).unlink(missing_ok=True)


def check_usable(path: Path, resume: bool) -> bool:
    """Whether the folder contains a run. Raises ValueError if a run cannot begin or be resumed there."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out: expected a folder, got the file {str(path)!r}")
    used = path.exists() and not is_unused(path)
    if used and not resume:
        raise ValueError(f"--out: expected a new or an empty folder, or --resume, got {str(path)!r}")
    if used and not (path / EXPERIMENT).is_file():
        raise ValueError(f"--out: expected the folder of a run to resume, got {str(path)!r}, with no {EXPERIMENT}")
    return used


def _remove_beginnings(path: Path, made: Sequence[Path]) -> None:
    """Removes what a run writes before its first checkpoint, and then the folders that it made."""
    with suppress(OSError):  # the folder is not empty if the user has put something there in the meantime
        for name in (EXPERIMENT, f"{CHECKPOINTS}/{LOCK}", LOCK):
            (path / name).unlink(missing_ok=True)
        for folder in (path / CHECKPOINTS, *made):
            if folder.exists():
                folder.rmdir()


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
    checksums = "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
    write_folder(folder / MODEL, contents | {CHECKSUMS: checksums.encode()})


def read_trained(folder: Path) -> Trained:
    """The trained network in the folder of a run.

    Raises ValueError, in one line that names the file, if there is none or if a file is damaged or does not fit the
    others, and OSError if a file cannot be read.
    """
    path = readable_folder(folder / MODEL)
    if not path.is_dir():
        raise ValueError(f"{folder}: expected a folder that fit has completed, found no {MODEL} in it")
    contents = {name: (path / name).read_bytes() for name in (COLUMNS, NETWORK, PARAMS)}
    if (path / CHECKSUMS).exists():  # a model that was written by an earlier version has none
        _check_checksums(path, contents)
    columns = _parsed(FittedColumns, path / COLUMNS, contents)
    with _naming(path / COLUMNS):
        check_columns(columns.data, columns.tasks)
    model = _parsed(ModelSpec, path / NETWORK, contents)
    if model.tasks != columns.tasks or model != columns.model(model):
        raise ValueError(f"{path / NETWORK}: expected the inputs and tasks of {COLUMNS}, got others")
    with _naming(path / PARAMS):
        params = _parsed_params(contents[PARAMS])
        check_params(model, params)
        for name, value in params.items():
            if not np.isfinite(value).all():
                raise ValueError(f"params[{name!r}]: expected finite numbers, got {value[~np.isfinite(value)][0]}")
    return Trained(columns=columns, model=model, params=params)


def _check_checksums(path: Path, contents: Mapping[str, bytes]) -> None:
    lines = (path / CHECKSUMS).read_text(encoding="ascii", errors="replace").splitlines()
    for name, content in contents.items():
        if f"{sha256(content).hexdigest()}  {name}" not in lines:
            raise ValueError(
                f"{path / name}: expected the file that fit wrote, got another: its SHA-256 is not that in {CHECKSUMS}"
            )


def _parsed_params(content: bytes) -> Params:
    try:
        return tensors.load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    except KeyError as error:  # the library looks a type up among NumPy's
        raise ValueError(f"expected tensors of dtype float32 or float64, got {error.args[0]}") from error


def _parsed(cls: type[Spec], path: Path, contents: Mapping[str, bytes]) -> Spec:
    with _naming(path):
        return from_json(cls, contents[path.name].decode())


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A ValueError of the block begins with the name of the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
