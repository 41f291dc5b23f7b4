"""The folders in which compiled code outlives the process: what is damaged there is never run, but compiled anew.

Beside each folder stands a file with the SHA-256 of everything in it, made anew when a process that compiled ends. The
folder is compared with it before the first use in a process. A file that is damaged is removed, and that is enough:
every file can be made again from others, or from the network. A file without a checksum, which a process may be writing
now or may have left when it was killed, gets one.
"""

import atexit
import contextlib
import errno
import functools
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path


class CompileCacheWarning(UserWarning):
    """Something in a folder of compiled code is damaged, or the folder cannot be written."""


@functools.cache
def open_cache(folder: Path) -> Path:
    """Where compiled code is kept in this process: `folder`, once it is checked.

    If it cannot be read and written, a warning says so, and it is a folder that is removed when the process ends.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for inside, _, _ in os.walk(folder):
            if not os.access(inside, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), inside)
        removed = remove_damaged(folder)
        record(folder)
    except OSError as error:
        kept = "what is compiled is not kept; SHARED_BOTTOM_CACHE names another place for it"
        warnings.warn(f"compile cache {folder}: {error.strerror}: {kept}", CompileCacheWarning, stacklevel=2)
        temporary = tempfile.mkdtemp(prefix="shared-bottom-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return Path(temporary)
    if removed:
        said = f"{len(removed)} damaged files are removed, among them {removed[0]}; they are made again"
        warnings.warn(f"compile cache {folder}: {said}", CompileCacheWarning, stacklevel=2)
    atexit.register(_record_at_exit, folder)
    return folder


def remove_damaged(folder: Path) -> list[str]:
    """Removes each file that is not as it was recorded, and all of them if the record is damaged. Returns their names.

    Raises OSError.
    """
    sums = _recorded(folder)
    damaged = [name for name, path in _files(folder) if sums is None or sums.get(name) not in (None, _sum(path))]
    for name in damaged:
        (folder / name).unlink(missing_ok=True)
        if sums:
            del sums[name]
    if damaged:
        _write(folder, sums or {})
    return damaged


def record(folder: Path) -> None:
    """Records the files that are not recorded yet, or were written since. Raises OSError.

    Such a file may have been recorded while another process was still writing it.
    """
    recorded, then = _recorded(folder) or {}, _modified(_record_of(folder))
    sums = {
        name: recorded[name] if name in recorded and _modified(path) < then else _sum(path)
        for name, path in _files(folder)
    }
    if sums != recorded:
        _write(folder, sums)


def _record_at_exit(folder: Path) -> None:
    with contextlib.suppress(OSError):  # nobody is there to be told, and the next process makes up for it
        record(folder)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files by name. JAX writes the time of each use into a file -atime, and PyTorch's locks are empty."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(("-atime", ".lock", ".tmp")):
            yield path.relative_to(folder).as_posix(), path


def _sum(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:  # another process may remove it now
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


def _modified(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0


def _record_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sha256.json")


def _recorded(folder: Path) -> dict[str, str] | None:
    """The checksums by name; none if there is no record, None if it is damaged."""
    try:
        sums = json.loads(_record_of(folder).read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        return None
    return sums if isinstance(sums, dict) else None


def _write(folder: Path, sums: dict[str, str]) -> None:
    """Writes the record, whole: a process that reads it now gets the one before."""
    partial = _record_of(folder).with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(sums, indent=0), encoding="utf-8")
    partial.replace(_record_of(folder))
