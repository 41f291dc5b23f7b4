"""Settings of the whole process that hold while a backend computes, and no longer."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

Undo = Callable[[], None]
OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory|RESOURCE_EXHAUSTED|bad_alloc", re.IGNORECASE)
"""How the frameworks say, in a RuntimeError, that there is too little memory."""


@contextmanager
def memory_errors() -> Iterator[None]:
    """Within the block, a framework's RuntimeError for too little memory is a MemoryError, as it is elsewhere."""
    try:
        yield
    except RuntimeError as error:
        if not OUT_OF_MEMORY.search(str(error)):
            raise
        size = re.search(r"allocat\w* ([\d.,]+ ?\w+)", str(error))
        raise MemoryError(f"Unable to allocate {size[1]}" if size else "none left") from error


@contextmanager
def patient_threads() -> Iterator[None]:
    """Threads that are started within the block do not interrupt one that runs when they wake up (on Linux).

    For Gloo's thread, which is woken by another process's data while the thread that computes may hold the lock of
    their connection. It then asks for the lock again and again. If it has interrupted the holder, on the holder's core,
    that goes on until the system takes the core away: 4 ms a sum in JAX, instead of 0.2 ms.
    """
    if not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    with suppress(PermissionError):  # a sandbox may forbid it, which costs time and nothing else
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class WhileComputing:
    """A context manager that any number of threads may be inside of at once, for settings that a thread cannot have
    for itself: the first one to enter makes the change and the last one to leave undoes it.

    Thus no thread loses the setting because another one is done. The user's other threads see the change, too.
    """

    def __init__(self, change: Callable[[], Undo]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._inside = 0
        self._undo: Undo | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._undo is None:
                self._undo = self._change()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._undo is not None:
                undo, self._undo = self._undo, None
                undo()
