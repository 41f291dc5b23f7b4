"""The command line, with the commands fit, evaluate, predict and describe."""

import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shared_bottom.cli.options import Common
from shared_bottom.cli.parsing import parse


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    arguments: the name of the command and its arguments; if None, those of the process.

    If the input is wrong, a file cannot be read or written, a package is not installed or the memory is exhausted, one
    line is printed on standard error and SystemExit(2) is raised. The exit code is 1 if the loss is not finite, 143
    after SIGTERM and 130 after Ctrl-C. With --debug among the arguments, the error itself is raised instead.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with plain_warnings(), stopped_by(signal.SIGTERM):
            command = parse(arguments)
            show_data_warnings()
            function_of(command)(command)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (ValueError, OSError, ImportError, MemoryError, ArithmeticError) as error:
        from spec.results import DivergenceError

        diverged = isinstance(error, DivergenceError)
        if "--debug" in arguments or (isinstance(error, ArithmeticError) and not diverged):
            raise
        print(f"error: {text_of(error)}", file=sys.stderr)
        raise SystemExit(1 if diverged else 2) from None


def function_of(command: Common) -> Callable[[Any], None]:
    """The function that runs a command.

    The commands are imported here and not at the top, so that help and usage errors do not wait for the imports.
    """
    from shared_bottom.cli import describe, evaluate, fit, options, predict

    functions: dict[type[Common], Callable[[Any], None]] = {
        options.FitExperiment: fit.fit,
        options.Evaluate: evaluate.evaluate,
        options.Predict: predict.predict,
        options.Describe: describe.describe,
    }
    return functions[type(command)]


def text_of(error: Exception) -> str:
    """The message of an error in one line."""
    from spec.validation import one_line

    if isinstance(error, MemoryError):
        return f"memory: expected enough for all arrays, got {one_line(error) or 'none left'}"
    return one_line(error)


def show_data_warnings() -> None:
    """Have each warning of a table's data shown, whatever Python's filters say, which are for a program's author."""
    from shared_bottom.tables.tally import DataWarning

    warnings.simplefilter("always", DataWarning)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Within the block, a warning is printed as one line, without the file and the line of code that raised it."""

    def show(message: Warning | str, category: type[Warning], *location: Any, **options: Any) -> None:
        print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def stopped_by(number: signal.Signals) -> Iterator[None]:
    """Within the block, the signal raises SystemExit with the exit code 128 + its number.

    Unlike the death of the process, an exception lets the code that writes a file remove what is half written.
    """

    def stop(*_: Any) -> None:
        raise SystemExit(128 + number)

    previous_handler = signal.signal(number, stop)
    try:
        yield
    finally:
        signal.signal(number, previous_handler)
