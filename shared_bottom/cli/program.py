"""Programs that are no commands, such as the examples and the bench: their arguments, and errors of one line."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from shared_bottom.cli.asking import ask
from shared_bottom.cli.printing import say
from shared_bottom.run.errors import INPUT_ERRORS
from spec.validation import one_line


def run(main: Callable[..., None]) -> None:
    """Call `main` with what the command line gives for its parameters. Input errors end the program as in `fail`."""

    @functools.wraps(main)
    def given(**arguments: Any) -> dict[str, Any]:
        return arguments

    try:
        main(**ask(given, sys.argv[1:]))
    except INPUT_ERRORS as error:
        fail(error)


@contextmanager
def importing(extra: str) -> Iterator[None]:
    """A block that imports packages of an extra. That one is not installed ends the program as in `fail`."""
    try:
        yield
    except ModuleNotFoundError as error:
        fail(ImportError(f"this program needs {error.name}, which is not installed: pip install -e '.[{extra}]'"))


def fail(error: Exception) -> NoReturn:
    """Print the error in one line and exit with code 2."""
    say("error", one_line(error))
    raise SystemExit(2)
