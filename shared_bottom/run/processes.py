"""The processes that train one network together: what they tell each other beside the sums of a step.

Every process has a connection to process 0, through which they agree on what one of them alone knows: the checkpoint to
go on from, the metrics, that a signal came. A process that dies closes its connection, and one that is stopped, or cut
off by the network, sends no beat any more: the others then end with an error that names it, and do not wait for ever.
"""

import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self, TypeVar

from shared_bottom.run.errors import ProcessError, exit_code, reason_of
from shared_bottom.run.streams import unfailing
from spec.validation import one_line

T = TypeVar("T")

GRACE = 5.0
"""Seconds that the framework has to notice that a process is gone, before this one is ended from outside."""


class Processes:
    """A process that trains alone; `Connected` is one of several. The run takes place inside the `with`."""

    rank = 0
    """This process's number. Process 0 is the one that writes, prints and decides."""
    size = 1
    """How many they are."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    def is_first(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    @property
    def speaks(self) -> bool:
        """Whether this process is one that says what ends the run: process 0, or all if that is gone."""
        return self.is_first

    @property
    def lost(self) -> ProcessError | None:
        """What there is to say of a process that is gone; None as long as none is."""
        return None

    def gather(self, value: T) -> list[T]:
        """The values that all processes come with, by their numbers. Raises ProcessError if one is gone."""
        return [value]

    def first(self, make: Callable[[], T]) -> T:
        """What `make` returns in process 0, where alone it is called. Raises ProcessError if one is gone."""
        return self.gather(make() if self.is_first else None)[0]  # type: ignore[return-value]

    @contextmanager
    def computing(self) -> Iterator[None]:
        """A block in which the framework may wait for other processes. Raises ProcessError if one is gone."""
        yield


class Connected(Processes):
    """One of several processes."""

    def __init__(self, rank: int, size: int, timeout: float, connections: dict[int, Connection]) -> None:
        """timeout: seconds without a sign of life after which a process counts as gone.

        connections: by the number of the process at the other end: of process 0 one to each other; of those, to it.
        """
        self.rank, self.size, self._timeout, self._connections = rank, size, timeout, connections
        self._locks = {other: threading.Lock() for other in connections}
        self._values: dict[int, queue.Queue[Any]] = {other: queue.Queue() for other in connections}
        self._error: ProcessError | None = None
        self._gone, self._ended = threading.Event(), threading.Event()
        self._first_is_gone = False
        self._waits_since: float | None = None
        self._names = [f"process {number}" for number in range(size)]

    def __enter__(self) -> Self:
        for other in self._connections:
            threading.Thread(target=self._listen, args=(other,), daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        self._names = self.gather(f"process {self.rank} ({socket.gethostname()}, pid {os.getpid()})")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Without an error this waits until all have come here, so that no process ends while another one writes."""
        if error is None:
            with suppress(ProcessError):  # the run is complete, whatever becomes of another process
                self.gather(None)
        elif not isinstance(error, SystemExit):  # that is agreed on: see the saver
            text = str(error) if isinstance(error, ProcessError) else f"{self._names[self.rank]}: {reason_of(error)}"
            self._tell("gone", (text, exit_code(error)))
        self._ended.set()
        self._tell("end", None)  # nothing is closed here: who listens may be in the midst of it

    @property
    def speaks(self) -> bool:
        """Whether this process is one that says what ends the run."""
        return self.is_first or self._first_is_gone

    @property
    def lost(self) -> ProcessError | None:
        """What there is to say of a process that is gone."""
        return self._error

    def gather(self, value: T) -> list[T]:
        """The values that all processes come with, by their numbers."""
        with self._waiting():
            if not self.is_first:
                self._tell("value", value)
                values: list[T] = self._receive(0)
                return values
            values = [value, *(self._receive(other) for other in self._connections)]
            self._tell("value", values)
            return values

    @contextmanager
    def computing(self) -> Iterator[None]:
        """A block in which the framework may wait for other processes."""
        try:
            with self._waiting():
                yield
        except Exception as error:
            if self._gone.wait(GRACE) and self._error:  # the framework may notice it first
                raise self._error from error
            raise

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """A block which the beating thread does not let last for ever once a process is gone."""
        self._waits_since = time.monotonic()
        try:
            yield
        finally:
            self._waits_since = None

    def _receive(self, other: int) -> Any:
        value = self._values[other].get()
        if isinstance(value, ProcessError):
            self._values[other].put(value)
            raise value
        return value

    def _tell(self, kind: str, value: Any) -> None:
        """To all at the other ends. Whether one is gone is noticed by who listens to it."""
        for other, connection in self._connections.items():
            with suppress(OSError), self._locks[other]:
                connection.send((kind, value))

    def _listen(self, other: int) -> None:
        """What comes from one process, as long as anything does."""
        connection = self._connections[other]
        try:
            while connection.poll(self._timeout):
                kind, value = connection.recv()
                if kind == "value":
                    self._values[other].put(value)
                elif kind == "gone":
                    self._lose(*value)
                elif kind == "end":  # whoever still waits for it would wait for ever
                    self._values[other].put(ProcessError(f"{self._names[other]} has ended"))
                    return
            reason = f"gave no sign of life for {self._timeout:g} s"
        except (EOFError, OSError):
            reason = "has died"
        except Exception as error:  # of another version of this package, say
            reason = f"sent what cannot be read: {one_line(error)}"
        if not self._ended.is_set():
            self._first_is_gone = other == 0
            self._lose(f"{self._names[other]} {reason}", 1)

    def _lose(self, text: str, code: int) -> None:
        if self._error is None:
            self._error = ProcessError(text, code)
            self._gone.set()
            for values in self._values.values():  # whoever waits for one need wait no more
                values.put(self._error)
            if self.is_first:
                self._tell("gone", (text, code))

    def _beat(self) -> None:
        """Signs of life; and the end of this process if it waits for one that is gone and cannot be reached itself."""
        pause, gone_at = min(1.0, self._timeout / 4), None
        while not self._ended.wait(pause):
            for other, connection in self._connections.items():
                if self._locks[other].acquire(blocking=False):  # else a value is being sent, which is a sign of life
                    with suppress(OSError):
                        connection.send(("beat", None))
                    self._locks[other].release()
            if self._error is None:
                continue
            gone_at = gone_at or time.monotonic()
            since = self._waits_since
            if since is not None and time.monotonic() - max(since, gone_at) > 2 * GRACE:
                if self.speaks:
                    print(f"error: {self._error}", file=unfailing(sys.stderr), flush=True)
                # An operation of the framework cannot be interrupted. Files are written whole or not at all.
                os._exit(self._error.code)
