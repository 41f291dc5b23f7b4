"""The folder that a run saves its checkpoints in: one run's at a time, and which of them stay."""

import itertools
import shutil
import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from typing import Literal

from shared_bottom.checkpoint.checkpoint import Checkpoint
from shared_bottom.checkpoint.files import (
    checkpoint_path,
    checkpoint_paths,
    is_checkpoint,
    read_best,
    read_checkpoint,
    read_segments,
    write_checkpoint,
)
from shared_bottom.checkpoint.format import CheckpointError
from shared_bottom.checkpoint.segments import WrittenSegments
from shared_bottom.disk import UnflushedError
from shared_bottom.lock import folder_of_one_run, is_still


class CheckpointWarning(UserWarning):
    """A checkpoint could not be saved, or not be read: the message says which is used instead."""


def load_checkpoint(folder: str | Path, which: Literal["newest", "best"] = "newest") -> Checkpoint:
    """The newest checkpoint of a run's folder that can be read, or that of the best epoch by its early stopping.

    folder: may also be that of one checkpoint, step-<steps>, which is the one meant then.
    Changes nothing in the folder, which may be in use. Warns of each that cannot be read. Raises CheckpointError, a
    ValueError, if none can, or if no epoch was the best; OSError where the disk or the permissions are at fault.
    """
    if which not in ("newest", "best"):
        raise ValueError(f"which: expected 'newest' or 'best', got {which!r}")
    if is_checkpoint(Path(folder)):
        return read_checkpoint(Path(folder))
    newest, unreadable = _newest(Path(folder))
    for error in unreadable:
        warnings.warn(str(error), CheckpointWarning, stacklevel=2)
    if newest is None:
        raise CheckpointError(f"folder: expected one with a checkpoint, got {str(folder)!r}, which has none")
    if which == "newest":
        return newest
    if newest.best is None:
        raise CheckpointError(f"which: expected 'newest', got 'best', but no epoch of {str(folder)!r} was the best")
    try:
        return read_checkpoint(checkpoint_path(Path(folder), newest.best.step))
    except CheckpointError as error:
        raise CheckpointError(f"{error}; its weights are load_checkpoint({str(folder)!r}).best.params") from error


class CheckpointFolder:
    """A run's own folder, locked as long as the `with` lasts. The lock dies with its process."""

    def __init__(self, path: Path, keep: int) -> None:
        self.path, self.keep = path, keep
        self.last: Path | None = None
        """The newest complete checkpoint."""
        self._bests: dict[Path, Path | None] = {}
        """What each checkpoint names as its best."""
        self._segments = WrittenSegments()
        self._lock = folder_of_one_run("checkpoint", path)

    def __enter__(self) -> "CheckpointFolder":
        """Raises ValueError if another run has the folder, or nobody can write there."""
        self._lock.__enter__()
        self._place = self.path.stat()
        for removed in self.path.glob(".removing-*"):  # in part, by a process that was killed
            shutil.rmtree(removed, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def is_gone(self) -> bool:
        """Whether the folder was removed or moved since the `with` began."""
        return not is_still(self.path, self._place)

    def check_empty(self) -> None:
        """Raises ValueError if there is a checkpoint, readable or not."""
        if any(self.path.glob("step-*")):
            raise ValueError(
                f"checkpoint: expected a folder without checkpoints, or resume=True, got {str(self.path)!r}"
            )

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that can be read; newer ones are set aside, with a warning. None if there is none.

        Raises CheckpointError if there are some and none can be read; ValueError where the disk or the permissions
        are at fault, which is no damage.
        """
        try:
            newest, unreadable = _newest(self.path)
        except OSError as fault:
            raise ValueError(
                f"resume: expected checkpoints that can be read, got {str(fault.filename or self.path)!r}: "
                f"{fault.strerror}; nothing was set aside"
            ) from fault
        if newest is None:
            if any(self.path.glob("step-*")):
                reasons = "; ".join(map(str, unreadable)) or "all were set aside"
                raise CheckpointError(f"resume: expected a checkpoint that can be read, got none: {reasons}")
            return None
        self.last = checkpoint_path(self.path, newest.step)
        self._segments.are_in(self.last, read_segments(self.last, self._segments.length))
        for path, error in zip(reversed(checkpoint_paths(self.path)), unreadable, strict=False):
            aside = next(
                name
                for n in itertools.count()
                if not (name := path.with_name(f"{path.name}.damaged{f'-{n}' if n else ''}")).exists()
            )
            path.rename(aside)
            warnings.warn(f"{error}; set aside as {aside.name}, {self.last} is used", CheckpointWarning, stacklevel=3)
        return newest

    def save(self, checkpoint: Checkpoint) -> bool:
        """Whether it could be saved; if not, a warning says what is kept. Older ones that need not stay are removed.

        If the folder itself was removed or moved, the checkpoint is saved in a new temporary folder and ValueError is
        raised, which names it; OSError if that fails, too.
        """
        path, unflushed = checkpoint_path(self.path, checkpoint.step), None
        if self.is_gone():
            elsewhere = checkpoint_path(Path(tempfile.mkdtemp(prefix="checkpoint-")), checkpoint.step)
            write_checkpoint(elsewhere, checkpoint, WrittenSegments())
            raise ValueError(
                f"checkpoint: expected the folder {str(self.path)!r} to stay until the run ends, got it removed or "
                f"moved; the state after step {checkpoint.step} is kept: {elsewhere}"
            )
        try:
            write_checkpoint(path, checkpoint, self._segments)
        except UnflushedError as error:
            unflushed = error
        except OSError as error:
            kept = f"the newest complete one is {self.last}" if self.last else "there is none before it"
            warnings.warn(f"checkpoint {path} was not saved: {error}; {kept}", CheckpointWarning, stacklevel=3)
            return False
        self.last = path
        self._bests[path] = None if checkpoint.best is None else checkpoint_path(self.path, checkpoint.best.step)
        if unflushed:  # the older ones are on the disk, so they stay
            reason = f"[Errno {unflushed.errno}] {unflushed.strerror}"
            warnings.warn(f"checkpoint {path} may not be on the disk yet: {reason}", CheckpointWarning, stacklevel=3)
        else:
            self._prune(path)
        return True

    def _prune(self, saved: Path) -> None:
        """Removes all but the newest, and what each of those names as its best: any of them may be resumed from."""
        paths = checkpoint_paths(self.path)
        newest = {*paths[-self.keep :], saved}
        for path in newest - self._bests.keys():
            self._bests[path] = read_best(path)
        stay = newest | {self._bests[path] for path in newest}
        for path in paths:
            if path not in stay:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        gone = path.with_name(f".removing-{path.name}")
        try:
            path.rename(gone)  # so that no half-removed checkpoint is ever seen
            shutil.rmtree(gone)
        except OSError as error:
            warnings.warn(f"old checkpoint {path} was not removed: {error}", CheckpointWarning, stacklevel=5)


def _newest(folder: Path) -> tuple[Checkpoint | None, list[CheckpointError]]:
    """The newest that can be read, and why newer ones cannot, newest first."""
    unreadable: list[CheckpointError] = []
    for path in reversed(checkpoint_paths(folder)):
        try:
            return read_checkpoint(path), unreadable
        except CheckpointError as error:
            unreadable.append(error)
    return None, unreadable
