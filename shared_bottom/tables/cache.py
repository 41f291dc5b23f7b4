"""Tables that are encoded once: a folder of entries, which later runs on the same rows read in place of the files.

An entry is a folder as `shared_bottom.tables.stored` writes it. Its name is its key: see `shared_bottom.tables.key`. It
is written under another name and then renamed, so that it is whole. Of the processes that come for the same one, one
makes it while the others wait. Whoever reads an entry has mapped its files, and keeps them if it is removed.
"""

import errno
import math
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shared_bottom.disk import DAMAGE, remove
from shared_bottom.tables.stored import ENTRY, Entry, Stored, read_stored
from shared_bottom.tables.turns import unfinished_entry, unused_name
from spec.files import cache_folder, from_json
from spec.validation import one_line

LIMIT, LIMIT_GB = "SHARED_BOTTOM_CACHE_GB", 20.0
"""The variable of the environment that says how many GB all entries may have together, and what holds without it."""


class RowCacheWarning(UserWarning):
    """An entry is damaged, or rows are not kept."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An entry for a reader."""

    path: Path
    entry: Entry | None
    """None if it is damaged or cannot be read."""
    size: int
    """Bytes; 0 if its folder cannot be read."""
    used: float
    """When it was last used, in seconds since 1970."""


def default_folder() -> Path:
    """The folder of entries in the user's cache."""
    return cache_folder() / "tables"


def limit_bytes() -> int:
    """How many bytes all entries may have together. Raises ValueError if the environment has no number for it."""
    text = os.environ.get(LIMIT) or str(LIMIT_GB)
    try:
        if 0 < float(text) < math.inf:
            return int(float(text) * 1e9)
    except ValueError:
        pass
    raise ValueError(f"{LIMIT}: expected a number of GB above 0, got {text!r}")


def look_up(path: Path) -> Stored | None:
    """The entry of this path, which is used now; None if there is none.

    A damaged one is removed, with a warning. One that cannot be read because of its permissions or of the disk stays,
    also with a warning.
    """
    try:
        stored = read_stored(path)
    except (OSError, ValueError) as error:
        if path.exists():  # else it has never been there, or another process removed it
            message = f"cache of tables: {one_line(error)}; the table is read anew"
            warnings.warn(message, RowCacheWarning, stacklevel=2)
            if isinstance(error, (ValueError, *DAMAGE)):
                with suppress(OSError):  # where it cannot be removed, none can be made either, which is said then
                    discard(path)
        return None
    with suppress(OSError):  # it may be another user's, who lets everybody read it
        os.utime(path)
    return stored


def keep(unfinished: Path, path: Path, limit: int) -> None:
    """Make a folder that is written the entry `path`, and remove those that were not used for longest.

    limit: how many bytes all entries may have together. One that is larger alone is not kept.

    If it cannot be kept, a warning says so.
    """
    size = _size(unfinished)
    if size > limit:
        reason = f"{size / 1e9:.3g} GB are more than all entries may have together, {limit / 1e9:g} GB (${LIMIT})"
        warnings.warn(f"cache of tables: the rows are not kept: {reason}", RowCacheWarning, stacklevel=2)
        return
    try:
        with suppress(FileExistsError):  # another process made the same entry meanwhile
            _place(unfinished, path)
        others = [listed for listed in entries(path.parent) if listed.path != path]
        while others and size + sum(listed.size for listed in others) > limit:
            with suppress(PermissionError):  # another user's, who alone can remove it: it counts no more
                discard(others.pop().path)
    except OSError as error:  # the rows are there all the same
        message = f"cache of tables: {path}: {error.strerror}; the rows may not be kept"
        warnings.warn(message, RowCacheWarning, stacklevel=2)


def entries(folder: Path) -> list[Listed]:
    """The entries of a folder, the last used first."""
    listed = []
    for path in folder.glob("[0-9a-f]" * 64):
        with suppress(FileNotFoundError, NotADirectoryError):  # another process removes it, or it is no entry
            used, entry, size = path.stat().st_mtime, None, 0
            with suppress(PermissionError):  # another user's, who lets nobody read it
                size = _size(path)
            with suppress(ValueError, OSError):
                entry = from_json(Entry, (path / ENTRY).read_text("utf-8"))
            listed.append(Listed(path=path, entry=entry, size=size, used=used))
    return sorted(listed, key=lambda entry: entry.used, reverse=True)


def clear(folder: Path) -> list[Listed]:
    """Removes the entries of a folder, but for those that other users alone can remove; and what killed processes left.

    Returns the entries that are removed. Raises OSError.
    """
    if folder.is_dir():
        with unfinished_entry(folder):
            pass
    removed = []
    for listed in entries(folder):
        with suppress(PermissionError):
            discard(listed.path)
            removed.append(listed)
    return removed


def discard(path: Path) -> None:
    """Removes an entry; renamed first, so that no process finds half of it. Raises OSError."""
    with suppress(FileNotFoundError):  # another process was faster
        unfinished = unused_name(path.parent)
        path.rename(unfinished)
        remove(unfinished)


def _place(unfinished: Path, path: Path) -> None:
    """Renames a folder. Raises FileExistsError if there is one already, which POSIX calls by either of two errors."""
    try:
        unfinished.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(*error.args) from error
        raise


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
