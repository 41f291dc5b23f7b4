"""A folder that one run uses, and no other at the same time."""

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from shared_bottom.disk import UNFINISHED, clear_unfinished, is_left_over, sync

LOCK = ".lock"
"""The file in a folder that is locked (flock) as long as a run uses the folder, and says which process that is."""


@contextmanager
def folder_of_one_run(field: str, path: Path) -> Iterator[list[Path]]:
    """Within the block, this run alone has the folder `path`. The lock dies with its process.

    field: what an error begins with.
    path: the folder. It is made where it is missing, with its parents.

    Before anything in it is touched, the folder is locked; then what killed processes left there is cleared. Yields
    the folders that were made, the innermost first. Raises ValueError if another run has it, or nobody can write there.
    """
    lock = FileLock(path / LOCK, fallback_to_soft=False)
    try:
        try:
            made = make_folder(path)
            lock.acquire(blocking=False)
            clear_unfinished(path)
            check_writable(path)  # an old lock file may be writable where the folder is not
        except Timeout as error:
            raise _in_use(field, path) from error
        except OSError as error:
            raise ValueError(f"{field}: expected a folder to write in, got {str(path)!r}: {error.strerror}") from error
        with suppress(OSError):  # on a full disk, the run has other worries
            (path / LOCK).write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield made
    finally:
        lock.release()


def check_not_in_use(field: str, path: Path) -> None:
    """Raises ValueError if a run has the folder, in which nothing is made or changed.

    field: what an error begins with.
    """
    if (path / LOCK).is_file():
        try:
            with FileLock(path / LOCK, blocking=False, fallback_to_soft=False):
                pass
        except Timeout as error:
            raise _in_use(field, path) from error
        except OSError:  # a file that cannot be opened or locked is nobody's lock
            pass


def _in_use(field: str, path: Path) -> ValueError:
    """The error of whoever comes second, with the process of the first one where its lock names it."""
    holder = ""
    with suppress(OSError):
        written = (path / LOCK).read_text(errors="replace")
        holder = f" ({written})" if re.fullmatch(r"process \d+ on \S+", written) else ""
    used = f"which another run is using{holder}"
    return ValueError(f"{field}: expected a folder of this run's own, got {str(path)!r}, {used}")


def make_folder(path: Path) -> list[Path]:
    """Makes the folder where it is missing, with its parents, each flushed into the one above it. Raises OSError.

    Returns those that this call made, the innermost first.
    """
    made: list[Path] = []
    for folder in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        with suppress(FileExistsError):  # another process makes the same ones
            folder.mkdir()
            made.insert(0, folder)
            sync(folder.parent)
    return made


def check_writable(path: Path) -> None:
    """Raises OSError if nothing can be made in the folder."""
    Path(tempfile.mkdtemp(dir=path, prefix=UNFINISHED)).rmdir()


def is_still(path: Path, known: os.stat_result) -> bool:
    """Whether a folder stands where it stood, as `path.stat()` said then: it was neither removed nor moved."""
    try:
        return os.path.samestat(path.stat(), known)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_unused(folder: Path) -> bool:
    """Whether nothing is in the folder but a lock file and what a killed process left half written."""
    return all(entry.name == LOCK or is_left_over(entry.name) for entry in folder.iterdir())
