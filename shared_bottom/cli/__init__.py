"""The command line: fit, evaluate, predict, describe."""

import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shared_bottom.cli.options import Common, parse


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments (the process's own, if not given) name.

    An error of the user's, the disk's, the memory's or the installation is one line on standard error and
    SystemExit(2), a loss that is not finite SystemExit(1), SIGTERM and Ctrl-C 143 and 130. With --debug among the
    arguments, errors are raised.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with plain_warnings(), stopped_by(signal.SIGTERM):
            command = parse(arguments)
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
    """What runs it. Imported when asked for, so that help and usage errors do not wait."""
    from shared_bottom.cli import describe, evaluate, fit, options, predict

    functions: dict[type[Common], Callable[[Any], None]] = {
        options.FitExperiment: fit.fit,
        options.Evaluate: evaluate.evaluate,
        options.Predict: predict.predict,
        options.Describe: describe.describe,
    }
    return functions[type(command)]


def text_of(error: Exception) -> str:
    """The error in one line."""
    from spec.validation import one_line

    if isinstance(error, MemoryError):
        return f"memory: expected enough for all arrays, got {one_line(error) or 'none left'}"
    return one_line(error)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings as lines without the place in the code that they come from."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
        print(f"warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def stopped_by(number: signal.Signals) -> Iterator[None]:
    """The signal ends the command with an exit code of its own, and what is half written is taken away."""

    def stop(*_: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(number, stop)
    try:
        yield
    finally:
        signal.signal(number, before)
