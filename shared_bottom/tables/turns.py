"""How processes that use one cache of encoded tables keep out of each other's way."""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from shared_bottom.disk import UNFINISHED, clear_unfinished, remove
from shared_bottom.lock import LOCK, is_still

WAIT = 5.0
"""Seconds that a process waits until another has removed what killed ones left."""


@contextmanager
def unfinished_entry(folder: Path) -> Iterator[Path]:
    """An empty folder to write an entry into, which `keep` puts in its place; otherwise it is removed at the end.

    folder: that of the entries. It is made where it is missing, and what killed processes left there is removed.

    Raises OSError if nothing can be written there, or another process, such as a run, has the folder for itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as lock:
        with suppress(BlockingIOError):  # as long as anyone writes, nobody can have it alone
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear_unfinished(folder)
        _lock_with_others(lock)
        path = unused_name(folder)
        path.mkdir()  # with the permissions that the process gives to folders: several users may share the entries
        try:
            yield path
        finally:
            remove(path)


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """A block to make the entry `path` in, for which other processes wait; a process that dies in it frees the others.

    It begins once no other is in it. Those that waited for one that came to its end go on together, because what it
    made is there, or could not be kept, and then none need wait for the next.

    Inside `unfinished_entry`, so that none clears the lock away. Raises OSError if it cannot be made.
    """
    lock = path.with_name(f"{UNFINISHED}{path.name}{LOCK}")
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not is_still(lock, os.fstat(file.fileno())):  # who had it has removed it, at its end
            fcntl.flock(file, fcntl.LOCK_UN)
            yield
            return
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _lock_with_others(lock: IO[str]) -> None:
    deadline = time.monotonic() + WAIT
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                said = f"another process has had the folder for itself for {WAIT:g} s"
                raise TimeoutError(errno.ETIMEDOUT, said, lock.name) from error
        time.sleep(WAIT / 100)


def unused_name(folder: Path) -> Path:
    """A name in the folder for what is not whole yet, or no more."""
    return folder / f"{UNFINISHED}{secrets.token_hex(8)}"
