"""Files and folders that are there whole or not at all, after a crash and after a loss of power too.

Whatever is written is written beside its place, flushed to the disk and then renamed, and the folder that it lies in
is flushed as well, so that the new name is on the disk. (To flush a folder takes a POSIX system.)
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_UNFINISHED, _SET_ASIDE = ".saving-", ".replaced-"
"""What stands before the name of a folder that is being written or removed, and of one that is being replaced."""


class UnflushedError(OSError):
    """What was written is whole and has its name, but it may be lost with the power: the folder was not flushed."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The name, beside `path`, of a file for the block to write; at the block's end it becomes the file `path`.

    After an error in the block it is removed, and an earlier file `path` is as it was. Raises OSError if it cannot be
    flushed or renamed, with the same effect; UnflushedError if it is in its place and only the folder is not flushed.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_name(path)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file as `whole_file` does."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """Writes the folder `path` with files of these contents, by name, in place of an earlier one.

    A folder cannot replace another in one step: the earlier one is set aside, and removed once the new one is on the
    disk. After any error it is in its place again; if the process is killed in between, `readable_folder` says where
    it is and `restore_folder` puts it back. Raises OSError; UnflushedError if only the parent is not flushed, and then
    a folder that replaces none stays.
    """
    restore_folder(path)
    unfinished, replaces = _unfinished(path), path.exists()
    try:
        unfinished.mkdir()
        for name, content in contents.items():
            (unfinished / name).write_bytes(content)
            sync(unfinished / name)
        sync(unfinished)
        if replaces:
            path.rename(_set_aside(path))
        unfinished.rename(path)
        _sync_name(path)
    except BaseException:
        if replaces and _set_aside(path).exists():
            if path.exists():
                path.rename(unfinished)
            _set_aside(path).rename(path)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    _remove_set_aside(path)


def readable_folder(path: Path) -> Path:
    """Where to read the folder `path`: where it was set aside, if a killed process left it there, or else `path`."""
    return path if path.exists() or not _set_aside(path).exists() else _set_aside(path)


def restore_folder(path: Path) -> None:
    """Puts back the folder `path` that a killed process set aside, and removes what else it left. Raises OSError."""
    if _set_aside(path).exists() and not path.exists():
        _set_aside(path).rename(path)
    _remove_set_aside(path)


def clear_unfinished(folder: Path) -> None:
    """Puts in order what killed processes left in `folder`, where no other is writing now. Raises OSError."""
    for aside in folder.glob(f"{_SET_ASIDE}*"):
        restore_folder(aside.with_name(aside.name.removeprefix(_SET_ASIDE)))
    for path in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Makes the folder where it is missing, with its parents, each flushed into the one above it. Raises OSError."""
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in new:
        sync(folder.parent)


def check_writable(path: Path) -> None:
    """Raises OSError if nothing can be made in the folder."""
    probe = path / f"{_UNFINISHED}probe"
    probe.mkdir(exist_ok=True)
    probe.rmdir()


def check_output(option: str, path: Path | None) -> None:
    """Raises ValueError, naming the option, if the file cannot be written."""
    if path is not None and (path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK)):
        raise ValueError(f"{option}: expected a file in a folder that can be written, got {str(path)!r}")


def sync(path: Path) -> None:
    """Waits until a file's content, or the names in a folder, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unfinished(path: Path) -> Path:
    return path.with_name(_UNFINISHED + path.name)


def _set_aside(path: Path) -> Path:
    return path.with_name(_SET_ASIDE + path.name)


def _remove_set_aside(path: Path) -> None:
    """Renamed first, so that no folder that is half removed could be taken for one to put back."""
    shutil.rmtree(_unfinished(path), ignore_errors=True)
    if _set_aside(path).exists():
        _set_aside(path).rename(_unfinished(path))
        shutil.rmtree(_unfinished(path), ignore_errors=True)


def _sync_name(path: Path) -> None:
    try:
        sync(path.parent)
    except OSError as error:
        raise UnflushedError(*error.args) from error
