"""What ends a run in a process because of another one, and the exit code of a command that an error ends."""

import math
import signal
from numbers import Real
from typing import Any

from shared_bottom.run.interrupts import Stopped
from spec.validation import one_line

INPUT_ERRORS = (ValueError, OSError, ImportError, MemoryError)
"""Errors for which a command's exit code is 2; it is 1 for others."""


class ProcessError(RuntimeError):
    """Another process is gone, or has other numbers than this one, so that the run cannot go on."""

    code: int
    """The exit code of a command that it ends."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def check_timeout(timeout: Any) -> None:
    """Raises ValueError for what is no number of seconds to wait."""
    if isinstance(timeout, bool) or not isinstance(timeout, Real) or not 0 < float(timeout) < math.inf:
        raise ValueError(f"timeout: expected a number of seconds above 0, got {timeout!r}")


def exit_code(error: BaseException) -> int:
    """That of a command which an error ends."""
    match error:
        case SystemExit(code=int(code)) | ProcessError(code=code):
            return code
        case KeyboardInterrupt():
            return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)
        case _:
            return 2 if isinstance(error, INPUT_ERRORS) else 1


def reason_of(error: BaseException) -> str:
    """What another process is told of it, in one line."""
    return one_line(error) if isinstance(error, Exception) else f"stopped by {str(error) or type(error).__name__}"
