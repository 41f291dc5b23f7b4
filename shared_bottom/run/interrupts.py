"""SIGTERM and Ctrl-C as a wish that the run grants once its call has ended."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

from shared_bottom.run.streams import unfailing

SIGNALS = (signal.SIGTERM, signal.SIGINT)
REPEATED = 2.0
"""Seconds within which a signal is taken for the one before, where several processes are told at once."""


def install(handler: Any) -> dict[signal.Signals, Any]:
    """Let both signals call `handler`, and return what they called before, for `restore`.

    Signals belong to the main thread; in another one this does nothing. One that is ignored (nohup, say) stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


def restore(before: dict[signal.Signals, Any]) -> None:
    """Let the signals do again what they did before `install`, which returned `before`. It is emptied."""
    while before:
        number, handler = before.popitem()
        signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not installed by Python


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block, both signals do nothing."""
    before = install(signal.SIG_IGN)
    try:
        yield
    finally:
        restore(before)


class Stopped(KeyboardInterrupt):
    """SIGTERM or Ctrl-C came. Libraries let a KeyboardInterrupt pass where they may take SystemExit for their own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """Inside the `with`, the first signal is noted; a second one does what it did before.

    At the first one, a line on standard error says what is waited for: PyTorch may compile for a quarter of a minute.
    """

    def __init__(self, *, alone: bool = True, speaks: bool = True) -> None:
        """alone: whether this process is the only one of the run. Of several, a terminal and then whoever started them
        may send each the same signal: what comes within `REPEATED` seconds is one wish.
        speaks: whether the line is printed.
        """
        self.received: signal.Signals | None = None
        self._alone, self._speaks, self._since = alone, speaks, 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        self._before = install(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        restore(self._before)
        if self.received and error is None:  # it came too late to be granted; an error ends the run and is the news
            signal.raise_signal(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if time.monotonic() - self._since > REPEATED:
                restore(self._before)
                signal.raise_signal(number)
            return
        self.received, self._since = signal.Signals(number), time.monotonic()
        if self._alone:
            restore(self._before)
        if not self._speaks:
            return
        waiting = f"{self.received.name}: stopping once the call in hand has been compiled and has ended"
        with suppress(RuntimeError):  # the signal came while the same stream was written to
            print(f"{waiting}; a second signal stops at once", file=unfailing(sys.stderr), flush=True)
