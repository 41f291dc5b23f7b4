"""Standard output and standard error as they are in practice: in any encoding, on a full disk, closed, or in a pipe."""

import io
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO


class Stream:
    """A text stream that replaces what its encoding does not have, and that hands its failures to a function."""

    def __init__(self, stream: TextIO | None, failed: Callable[[OSError], None], errors: str = "replace") -> None:
        """stream: None if the process was started with the stream closed; what is written is dropped then.

        failed: is called with each error of the stream. If it returns, the text is dropped.
        errors: how what the encoding does not have is replaced, as in `str.encode`.
        """
        self._stream, self._failed, self._errors = stream or io.StringIO(), failed, errors

    def write(self, text: str) -> int:
        """Write the text, and return its length."""
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, self._errors).decode(encoding))
        except OSError as error:
            self._failed(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def give_up(self) -> None:
        """Write what is still to be written, and what follows, to nowhere, so that the interpreter's end succeeds."""
        with suppress(OSError):  # a stream that is no file of the system has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def unfailing(stream: TextIO | None) -> Stream:
    """The stream for what nobody must have seen, such as how far a run is: an error of the stream is no error."""
    return Stream(stream, lambda error: None, "backslashreplace")
