"""The folder that a run saves its checkpoints in, one folder each: step-00000320/ with the files of the format.

A checkpoint is there whole or not at all: it is written beside its place, and given its name once it is on the disk.
"""

import itertools
import os
import shutil
import warnings
from pathlib import Path
from types import TracebackType
from typing import Literal

from filelock import FileLock, Timeout

from backends.checkpoint_format import Checkpoint, CheckpointError, decode, encode


class CheckpointWarning(UserWarning):
    """A checkpoint could not be saved, or not be read: the message says which is used instead."""


def load_checkpoint(folder: str | Path, which: Literal["newest", "best"] = "newest") -> Checkpoint:
    """The newest checkpoint of a run's folder that can be read, or that of the best epoch by its early stopping.

    folder: may also be that of one checkpoint, step-<steps>, which is the one meant then.
    Changes nothing in the folder, which may be in use. Warns of each that cannot be read. Raises CheckpointError, a
    ValueError, if none can, or if no epoch was the best.
    """
    if which not in ("newest", "best"):
        raise ValueError(f"which: expected 'newest' or 'best', got {which!r}")
    if _is_checkpoint(Path(folder)):
        return read_checkpoint(Path(folder))
    found, unreadable = _newest(Path(folder))
    for error in unreadable:
        warnings.warn(str(error), CheckpointWarning, stacklevel=2)
    if found is None:
        raise CheckpointError(f"folder: expected one with a checkpoint, got {str(folder)!r}, which has none")
    if which == "newest":
        return found
    if found.best is None:
        raise CheckpointError(f"which: expected 'newest', got 'best', but no epoch of {str(folder)!r} was the best")
    return read_checkpoint(checkpoint_path(Path(folder), found.best.step))


class CheckpointFolder:
    """A run's own folder, locked as long as the `with` lasts. The lock dies with its process."""

    def __init__(self, path: Path, keep: int) -> None:
        self.path, self.keep = path, keep
        self.last: Path | None = None
        """The newest complete checkpoint."""
        self._lock = FileLock(path / ".lock", fallback_to_soft=False)

    def __enter__(self) -> "CheckpointFolder":
        """Raises ValueError if another run has the folder, or nobody can write there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise ValueError(
                f"checkpoint: expected a folder of this run's own, got {str(self.path)!r}, which another run is using"
            ) from error
        except OSError as error:
            raise ValueError(
                f"checkpoint: expected a folder to write in, got {str(self.path)!r}: {error.strerror}"
            ) from error
        for unfinished in (*self.path.glob(".saving-*"), *self.path.glob(".removing-*")):
            shutil.rmtree(unfinished, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def check_empty(self) -> None:
        """Raises ValueError if there is a checkpoint, readable or not."""
        if any(self.path.glob("step-*")):
            raise ValueError(
                f"checkpoint: expected a folder without checkpoints, or resume=True, got {str(self.path)!r}"
            )

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that can be read; newer ones are set aside, with a warning. None if there is none.

        Raises CheckpointError if there are some and none can be read.
        """
        found, unreadable = _newest(self.path)
        if found is None:
            if any(self.path.glob("step-*")):
                reasons = "; ".join(map(str, unreadable)) or "all were set aside"
                raise CheckpointError(f"resume: expected a checkpoint that can be read, got none: {reasons}")
            return None
        self.last = checkpoint_path(self.path, found.step)
        for path, error in zip(reversed(checkpoint_paths(self.path)), unreadable, strict=False):
            aside = next(
                name
                for n in itertools.count()
                if not (name := path.with_name(f"{path.name}.damaged{f'-{n}' if n else ''}")).exists()
            )
            path.rename(aside)
            warnings.warn(f"{error}; set aside as {aside.name}, {self.last} is used", CheckpointWarning, stacklevel=3)
        return found

    def save(self, checkpoint: Checkpoint) -> bool:
        """Whether it could be saved; if not, a warning says what is kept. Older ones that need not stay are removed."""
        path = checkpoint_path(self.path, checkpoint.step)
        try:
            write_checkpoint(path, checkpoint)
        except OSError as error:
            kept = f"the newest complete one is {self.last}" if self.last else "there is none before it"
            warnings.warn(f"checkpoint {path} was not saved: {error}; {kept}", CheckpointWarning, stacklevel=3)
            return False
        self.last = path
        stay = {path, *checkpoint_paths(self.path)[-self.keep :]}
        if checkpoint.best is not None:
            stay.add(checkpoint_path(self.path, checkpoint.best.step))
        for old in checkpoint_paths(self.path):
            if old not in stay:
                self._remove(old)
        return True

    def _remove(self, path: Path) -> None:
        gone = path.with_name(f".removing-{path.name}")
        try:
            path.rename(gone)  # so that no half-removed checkpoint is ever seen
            shutil.rmtree(gone)
        except OSError as error:
            warnings.warn(f"old checkpoint {path} was not removed: {error}", CheckpointWarning, stacklevel=4)


def _newest(folder: Path) -> tuple[Checkpoint | None, list[CheckpointError]]:
    """The newest that can be read, and why newer ones cannot, newest first."""
    unreadable: list[CheckpointError] = []
    for path in reversed(checkpoint_paths(folder)):
        try:
            return read_checkpoint(path), unreadable
        except CheckpointError as error:
            unreadable.append(error)
    return None, unreadable


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the folder `path`, whole or not at all, and waits until it is on the disk. Raises OSError."""
    unfinished = path.with_name(f".saving-{path.name}")
    try:
        unfinished.mkdir()
        for name, content in encode(checkpoint).items():
            with (unfinished / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync_folder(unfinished)
        unfinished.rename(path)
        _sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the folder `path`. Raises CheckpointError."""

    def content(name: str) -> bytes:
        try:
            return (path / name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{name}: {error.strerror}") from error

    try:
        return decode(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def checkpoint_paths(folder: Path) -> list[Path]:
    """The folders step-<steps> in `folder`, oldest first."""
    return sorted(filter(_is_checkpoint, folder.glob("step-*")), key=lambda path: int(path.name.removeprefix("step-")))


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the state after `step` steps is saved."""
    return folder / f"step-{step:08d}"


def _is_checkpoint(path: Path) -> bool:
    return path.name.startswith("step-") and path.name.removeprefix("step-").isdecimal()


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
