"""The command line, with the commands fit, evaluate, predict, export, describe, compare, cache and launch."""

import importlib
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from backends.engines import is_first
from shared_bottom.cli.printing import say, standard_streams
from shared_bottom.cli.together import end_at_once, together
from shared_bottom.run.errors import INPUT_ERRORS, ProcessError, exit_code
from shared_bottom.run.interrupts import Stopped, install, restore, undisturbed
from shared_bottom.run.processes import Processes
from spec.results import DivergenceError

if TYPE_CHECKING:
    from shared_bottom.cli.options import Common

EXPECTED = (*INPUT_ERRORS, DivergenceError, ProcessError)
"""Errors that are no fault of this program."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    arguments: the name of the command and its arguments; if None, those of the process.

    If the input is wrong, a file cannot be read or written, a package is not installed or the memory is exhausted, one
    line is printed on standard error and SystemExit(2) is raised. The exit code is 1 if the loss is not finite, if the
    end of the run could not be saved, if another process of the run is gone, or if standard output cannot be written;
    143 after SIGTERM, 130 after Ctrl-C, and 141 if nobody reads standard output any more. With --debug among the
    arguments, the error itself is raised instead. Of several processes that were started together, process 0 says what
    there is to say; a command other than fit is process 0's alone.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    processes: Processes | None = None

    def speaks() -> bool:
        return processes.speaks if processes else is_first()

    if not is_first() and arguments[:1] != ["fit"]:
        return
    try:
        with standard_streams():
            try:
                with plain_warnings(speaks), stopped_by_signals(), together(arguments) as processes:
                    from shared_bottom.cli.parsing import parse

                    command = parse(arguments)
                    show_data_warnings()
                    function_of(command)(command)
            except (KeyboardInterrupt, Exception) as raised:
                with undisturbed():  # whoever has started the processes may end all when one has ended
                    error = news(raised, processes)
                    if isinstance(error, KeyboardInterrupt):
                        raise SystemExit(exit_code(error)) from None
                    # Where the processes did not come together, none knows of another one that could say it.
                    says = speaks() or (processes is None and isinstance(error, ProcessError))
                    if "--debug" in arguments or (says and not isinstance(error, EXPECTED)):
                        raise
                    if says:
                        say("error", text_of(error))
                    raise SystemExit(exit_code(error)) from None
    except BaseException as error:
        if processes and processes.size > 1:
            end_at_once(exit_code(error))
        raise


def function_of(command: "Common") -> Callable[[Any], None]:
    """The function that runs a command.

    It is imported here and not at the top, so that help and usage errors do not wait for what it imports.
    """
    from shared_bottom.cli import options

    names: dict[type[options.Common], str] = {
        options.FitExperiment: "fit",
        options.Evaluate: "evaluate",
        options.Predict: "predict",
        options.Export: "export",
        options.Describe: "describe",
        options.Compare: "compare",
        options.Cache: "cache",
        options.Launch: "launch",
    }
    name = names[type(command)]
    function: Callable[[Any], None] = getattr(importlib.import_module(f"shared_bottom.cli.{name}"), name)
    return function


def news(raised: KeyboardInterrupt | Exception, processes: Processes | None) -> KeyboardInterrupt | Exception:
    """What is to be said of an error that ends the command: of a signal after another process is gone, that it is; and
    of one after a divergence, the divergence.

    Whoever has started the processes, such as torchrun, sends the signal to all when one has ended.
    """
    if isinstance(raised, KeyboardInterrupt) and processes and processes.lost:
        return processes.lost
    error: BaseException | None = raised
    while isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error if isinstance(error, ProcessError | DivergenceError) else raised


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
def plain_warnings(speaks: Callable[[], bool]) -> Iterator[None]:
    """Within the block, a warning is printed as one line, without the file and the line of code that raised it.

    speaks: whether this process is the one that prints it.
    """

    def show(message: Warning | str, category: type[Warning], *location: Any, **options: Any) -> None:
        if speaks():
            say("warning", str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Within the block, SIGTERM and Ctrl-C raise `Stopped`.

    Unlike the death of the process, an exception lets the code that writes a file remove what is half written. Python
    drops an exception that is raised while it collects garbage or calls a finalizer; the signal is sent again then.
    A library may make another error of it; the block ends with `Stopped` all the same.
    """
    received: int | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received = number
        raise Stopped(number)

    def dropped(ignored: Any) -> None:
        if isinstance(ignored.exc_value, Stopped):
            main_thread = threading.main_thread().ident
            again = threading.Timer(0.05, signal.pthread_kill, [main_thread, ignored.exc_value.number])
            again.daemon = True
            again.start()
        else:
            hook(ignored)

    before, hook = install(stop), sys.unraisablehook
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = hook
        restore(before)
        if received is not None:
            raise Stopped(received)
