"""One checkpoint on the disk: a folder step-00000320/ with the files of the format.

It is there whole or not at all: written beside its place, flushed, and then given its name.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from shared_bottom.checkpoint.checkpoint import Checkpoint
from shared_bottom.checkpoint.format import MANIFEST, CheckpointError, decode, encode

DAMAGE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What a file that is not as it was written can raise. Any other OSError is the disk's or the permissions'."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the folder `path`, whole or not at all. Raises OSError.

    It outlives a loss of power once its parent is flushed too: see `sync_folder`.
    """
    write_folder(path, encode(checkpoint))


def write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """Writes the folder `path` with these files, whole or not at all, in place of an earlier one. Raises OSError."""
    unfinished, earlier = path.with_name(f".saving-{path.name}"), path.with_name(f".removing-{path.name}")
    shutil.rmtree(unfinished, ignore_errors=True)  # what a killed process may have left
    try:
        unfinished.mkdir()
        for name, content in contents.items():
            with (unfinished / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(unfinished)
        if path.exists():
            shutil.rmtree(earlier, ignore_errors=True)
            path.rename(earlier)
        unfinished.rename(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the folder `path`. Raises CheckpointError if it is damaged, OSError if the disk fails."""

    def content(name: str) -> bytes:
        try:
            return (path / name).read_bytes()
        except DAMAGE as error:
            raise CheckpointError(f"{name}: {error.strerror}") from error

    try:
        found = decode(content)
        if is_checkpoint(path) and step_of(path) != found.step:
            raise CheckpointError(
                f"{MANIFEST}: step: expected {step_of(path)}, as the folder is named, got {found.step}"
            )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return found


def read_best(path: Path) -> Path | None:
    """The folder of the checkpoint that the one in `path` names as its best; None if it names none, or is damaged."""
    try:
        best = json.loads((path / MANIFEST).read_bytes())["best"]
        return None if best is None else checkpoint_path(path.parent, best["step"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # a damaged one holds on to nothing
        return None


def checkpoint_paths(folder: Path) -> list[Path]:
    """The folders step-<steps> in `folder`, oldest first."""
    return sorted(filter(is_checkpoint, folder.glob("step-*")), key=step_of)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the state after `step` steps is saved."""
    return folder / f"step-{step:08d}"


def is_checkpoint(path: Path) -> bool:
    """Whether the folder has the name of a checkpoint."""
    return path.name.startswith("step-") and path.name.removeprefix("step-").isdecimal()


def step_of(path: Path) -> int:
    """The steps in a checkpoint's name."""
    return int(path.name.removeprefix("step-"))


def make_folder(path: Path) -> None:
    """Makes the folder where it is missing, with its parents, each flushed into the one above it. Raises OSError."""
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in new:
        sync_folder(folder.parent)


def check_writable(path: Path) -> None:
    """Raises OSError if nothing can be made in the folder."""
    probe = path / ".saving-probe"
    probe.mkdir(exist_ok=True)
    probe.rmdir()


def sync_folder(path: Path) -> None:
    """Waits until what was made, renamed or removed in the folder is on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
