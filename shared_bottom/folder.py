"""The folder of a run, which the command line writes and reads.

    experiment.toml   the experiment as it ran, with absolute paths
    given.json        if embeddings are given: their values, so that a resumed run does not need the files
    start/            if the run started from another: that one's model/, so that a resumed run does not need it
    checkpoints/      see docs/checkpoints.md
    model/            columns.json, model.json and params.safetensors: all that a backend needs to predict; their
                      checksums are in model.sha256
    status.json       how far the run is, or how it ended: see docs/checkpoints.md
    metrics.jsonl     a line for each epoch that has ended
    events.out.…      TensorBoard's file, if it is asked for
    report.html, plots/
    .lock             as long as a run uses the folder: its process

Each file, and the folder model/ as a whole, is either complete or does not exist, except for metrics.jsonl and
TensorBoard's file, which grow as the run goes on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from shared_bottom import arrays
from shared_bottom.checkpoint.files import checkpoint_paths
from shared_bottom.disk import readable_folder, whole_folder, write_flushed, write_whole
from shared_bottom.lock import LOCK, check_not_in_use, folder_of_one_run, is_still, is_unused, make_folder
from shared_bottom.run.status import status_of
from shared_bottom.run.watcher import EVENTS, METRICS, STATUS
from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.trained import Trained, choose_backend
from spec.files import Spec, from_json, to_json
from spec.model import ModelSpec
from spec.params import check_params
from spec.results import DivergenceError
from spec.training import Device
from spec.validation import check_class, one_line

EXPERIMENT, GIVEN, START = "experiment.toml", "given.json", "start"
CHECKPOINTS, MODEL = "checkpoints", "model"
COLUMNS, NETWORK, PARAMS = "columns.json", "model.json", "params.safetensors"
READ_AGAIN = (EXPERIMENT, START, CHECKPOINTS, MODEL)
"""What the commands read again, so that nothing else may be written in its place."""
CHECKSUMS = "model.sha256"
"""The SHA-256 of the other files of model/, as `sha256sum` writes and checks it."""


@contextmanager
def run_folder(path: Path, *, resume: bool) -> Iterator[None]:
    """A context in which a run writes into its folder, and no other run does.

    path: the folder. It is made if it does not exist, and so are its parents.
    resume: whether the folder may contain a run, to be resumed. If not, it must be new or empty.

    If the block ends with an error before a checkpoint or the model was saved, what this run made is removed, parents
    included, and nothing else. Only if the error is a DivergenceError all files stay. Raises ValueError if the folder
    contains something else, cannot be written, or another run is using it.
    """
    check_not_in_use("--out", path)
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
        kept = [f"{START}/{MODEL}/{name}" for name in (COLUMNS, NETWORK, PARAMS, CHECKSUMS)]
        for name in (EXPERIMENT, GIVEN, STATUS, METRICS, EVENTS, *kept, f"{CHECKPOINTS}/{LOCK}", LOCK):
            (path / name).unlink(missing_ok=True)
        for folder in (path / CHECKPOINTS, path / START / MODEL, path / START, *made):
            if folder.exists():
                folder.rmdir()


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
    """Write a trained network into a folder, as model/, in place of one that was written so before.

    folder: it is made if it does not exist.
    trained: the network to write, with its columns; not with its history.

    Raises ValueError for the folder of a run of the command fit, whose report is of another model, and OSError if it
    cannot be written.
    """
    check_class("trained", trained, Trained, "fit_table and load return it")
    if (Path(folder) / EXPERIMENT).exists():
        raise ValueError(f"folder: expected another than that of a run, which has its model, got {str(folder)!r}")
    write_model(folder, trained)


def write_model(folder: str | Path, trained: Trained) -> None:
    """Write the folder model/ of a run, in place of an earlier one. Raises OSError if it cannot be written."""
    contents = {
        COLUMNS: [to_json(trained.columns).encode()],
        NETWORK: [to_json(trained.model).encode()],
        PARAMS: arrays.content(trained.params),
    }
    make_folder(Path(folder))
    with whole_folder(Path(folder) / MODEL) as made:
        digests = {name: write_flushed(made / name, content) for name, content in contents.items()}
        write_flushed(made / CHECKSUMS, [f"{digest}  {name}\n".encode() for name, digest in digests.items()])


def read_trained(folder: str | Path) -> Trained:
    """The trained network in the folder of a run.

    Raises ValueError, in one line that names the file, if there is none or if a file is damaged or does not fit the
    others, and OSError if a file cannot be read.
    """
    path = readable_folder(Path(folder) / MODEL)
    if not path.is_dir():
        expected = f"expected a folder that fit has completed, found no {MODEL} in it"
        raise ValueError(f"{folder}: {expected}{_why_no_model(Path(folder))}")
    _check_files(path)
    columns = _parsed(FittedColumns, path / COLUMNS)
    with _naming(path / COLUMNS):
        check_columns(columns.data, columns.tasks)
    model = _parsed(ModelSpec, path / NETWORK)
    if model.tasks != columns.tasks or model != columns.model(model):
        raise ValueError(f"{path / NETWORK}: expected the inputs and tasks of {COLUMNS}, got others")
    with _naming(path / PARAMS):
        params = arrays.read(path / PARAMS)
        check_params(model, params)
        for name, value in params.items():
            for piece in arrays.pieces(value):
                if (wrong := ~np.isfinite(piece)).any():
                    raise ValueError(f"params[{name!r}]: expected finite numbers, got {piece[wrong][0]}")
    return Trained(columns=columns, model=model, params=params)


def _why_no_model(folder: Path) -> str:
    """What an error adds where status.json says of a run that it has not ended, or how."""
    status = status_of(folder)
    match state := status.now():
        case "running":
            return f"; its run is going on (process {status.process} on {status.host})"
        case "stopped" | "killed":
            return f"; its run was {state}, and fit --resume --out {folder} goes on with it"
        case "failed":
            return f"; its run failed: {status.reason}"
    return ""


def load(
    folder: str | Path, backend: str | None = None, *, device: Device = "auto", threads: int | None = None
) -> Trained:
    """The trained network in the folder of a run, to predict, to look at and to train further.

    backend: the backend that predicts, such as "jax"; None: the first that is installed.
    device: where to predict.
    threads: the processor's threads that predict, as for `spec.Backend.fit`.

    Raises ValueError and OSError as `read_trained` does, ValueError if there is no such backend, device or number of
    threads, and ImportError if the backend's framework is not installed.
    """
    chosen = choose_backend(backend)
    chosen.resolve_device(device)
    chosen.check_threads(threads)
    return replace(read_trained(folder), backend=chosen.name, device=device, threads=threads)


def _check_files(path: Path) -> None:
    """Raises ValueError if a file of model/ is not the one that fit wrote, and OSError if one cannot be read."""
    checksums, known = path / CHECKSUMS, None
    if checksums.exists():  # a model that was written by an earlier version has none
        known = checksums.read_text(encoding="ascii", errors="replace").splitlines()
    for name in (COLUMNS, NETWORK, PARAMS):
        with _naming(path / name):
            line = f"{arrays.digest(path / name)}  {name}"
            if known is not None and line not in known:
                expected = "expected the file that fit wrote, got another"
                raise ValueError(f"{expected}: its SHA-256 is not that in {CHECKSUMS}")


def _parsed(cls: type[Spec], path: Path) -> Spec:
    with _naming(path):
        return from_json(cls, path.read_bytes().decode())


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A ValueError of the block begins with the name of the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
