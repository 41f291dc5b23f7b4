"""Files and folders that are there whole or not at all, after a crash and after a loss of power too.

Whatever is written is written beside its place, flushed to the disk and then renamed, and the folder that it lies in
is flushed as well, so that the new name is on the disk. (To flush a folder takes a POSIX system.)
"""

import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

UNFINISHED, _SET_ASIDE, _PARTIAL = ".saving-", ".replaced-", ".partial"
"""What stands before the name of a folder that is being written or removed, and of one that is being replaced; and what
stands after the name of a file that is being written."""
DAMAGE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What reading a file that is not as it was written can raise. Any other OSError is the disk's or the permissions'."""


class UnflushedError(OSError):
    """What was written is whole and has its name, but it may be lost with the power: the folder was not flushed."""


@contextmanager
def whole_file(path: Path, *, flushed: bool = True) -> Iterator[BinaryIO]:
    """A file for the block to write, beside `path`; at the block's end it becomes the file `path`.

    Its name is a new one each time, so that of two processes that write one file each writes its own, and the later
    one stays. After an error in the block it is removed, and an earlier file `path` is as it was. Raises OSError, which
    names `path`, if it cannot be written, flushed or renamed, with the same effect; UnflushedError if it is in its
    place and only the folder is not flushed.

    flushed: whether it is to be on the disk then. One that is soon replaced need not wait for that.
    """
    partial = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}{_PARTIAL}")  # a name may have 255 bytes
    with _named(path, partial):
        file = partial.open("xb")  # x: a link that somebody placed under this name is not followed
        try:
            with file:
                yield file
                file.flush()
                if flushed:
                    os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if flushed:
            _sync_name(path)


def write_whole(path: Path, content: bytes, *, flushed: bool = True) -> None:
    """Writes a file as `whole_file` does."""
    with whole_file(path, flushed=flushed) as file:
        file.write(content)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder for the block to fill, beside `path`; at the block's end it becomes the folder `path`.

    The block flushes each file, as `write_flushed` does, or links to one that is flushed. A folder cannot replace
    another in one step: the earlier one is set aside, and removed once the new one is on the disk. After any error,
    in the block or after it, the earlier one is in its place again; if the process is killed in between,
    `readable_folder` says where it is and `restore_folder` puts it back. Raises OSError; UnflushedError if only the
    parent is not flushed, and then a folder that replaces none stays.
    """
    restore_folder(path)
    unfinished, replaces = _unfinished(path), path.exists()
    with _named(path, unfinished):
        try:
            unfinished.mkdir()
            yield unfinished
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
            remove(unfinished)
            raise
    _remove_set_aside(path)


def write_flushed(path: Path, content: Iterable[bytes | memoryview]) -> str:
    """Writes a file piece by piece and waits until it is on the disk; the SHA-256 of it, in hexadecimal.

    For a file in a folder that is itself written whole. Raises OSError, which names the file.
    """
    digest = sha256()
    with _named(path, path), path.open("xb") as file:
        for piece in content:
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


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
    for pattern in (f"{UNFINISHED}*", f".*.{'[0-9a-f]' * 8}{_PARTIAL}"):
        for path in folder.glob(pattern):
            remove(path)


def is_left_over(name: str) -> bool:
    """Whether a killed process may have left something of this name, half written."""
    return name.startswith((UNFINISHED, _SET_ASIDE)) or (name.startswith(".") and name.endswith(_PARTIAL))


def remove(path: Path) -> None:
    """Removes a file or folder that has a name for unfinished ones; of a link, the link and not what it points to."""
    with suppress(OSError):  # what stays is hidden, and the next run tries again
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)  # a folder that is read-only cannot be emptied
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def check_suffix(option: str, path: Path | None, suffixes: Collection[str]) -> None:
    """Raises ValueError, naming the option, if the file's name does not end as one of the formats' does."""
    if path is not None and path.suffix not in suffixes:
        raise ValueError(f"{option}: expected a file {' or '.join(suffixes)}, got {str(path)!r}")


def check_output(option: str, path: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Raises ValueError, naming the option, if the file cannot be written, or would replace what is needed.

    inputs: the files that are read, and the folders in which nothing may be replaced.
    """
    if path is None:
        return
    if (path.exists() and not path.is_file()) or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"{option}: expected a file in a folder that can be written, got {str(path)!r}")
    for source in inputs:
        linked = path.exists() and source.exists() and path.samefile(source)
        if linked or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source)):
            expected = "outside of" if source.is_dir() else "other than"
            raise ValueError(f"{option}: expected a file {expected} {str(source)!r}, got {str(path)!r}")


@contextmanager
def keeping(what: str) -> Iterator[None]:
    """Adds to the message of an OSError of the block what is kept in spite of it."""
    try:
        yield
    except UnflushedError:
        raise
    except OSError as error:
        error.strerror = f"{error.strerror}; {what}"
        raise


def sync(path: Path) -> None:
    """Waits until a file's content, or the names in a folder, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unfinished(path: Path) -> Path:
    return path.with_name(UNFINISHED + path.name)


def _set_aside(path: Path) -> Path:
    return path.with_name(_SET_ASIDE + path.name)


def _remove_set_aside(path: Path) -> None:
    """Renamed first, so that no folder that is half removed could be taken for one to put back."""
    remove(_unfinished(path))
    if _set_aside(path).exists():
        _set_aside(path).rename(_unfinished(path))
        remove(_unfinished(path))


def _sync_name(path: Path) -> None:
    try:
        sync(path.parent)
    except OSError as error:
        raise UnflushedError(*error.args) from error


@contextmanager
def _named(path: Path, partial: Path) -> Iterator[None]:
    """An OSError of the block that names no file, or the half-written one or a file in it, names `path` instead."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        elif Path(error.filename).is_relative_to(partial):
            error.filename = str(path / Path(error.filename).relative_to(partial))
        raise
