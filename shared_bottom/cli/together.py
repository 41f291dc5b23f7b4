"""Several processes that run one command: process 0 is the one that speaks."""

import atexit
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from backends.engines import ENGINES, started
from shared_bottom.run.errors import INPUT_ERRORS, ProcessError
from shared_bottom.run.interrupts import install, restore
from shared_bottom.run.processes import Processes
from spec.validation import one_line


@contextmanager
def together(arguments: Sequence[str]) -> Iterator[Processes]:
    """The processes that were started together to run `fit`. Any other command is run by one process.

    They are joined before the experiment is read, so that what only one of them cannot read is said by process 0. Where
    the environment names no others, the framework is not asked, which would take seconds.

    arguments: of the command line.

    Raises ProcessError if one does not come, and ValueError for flags that are wrong.
    """
    if arguments[:1] != ["fit"] or all(started(engine) == 1 for engine in ENGINES):
        yield Processes()
        return
    from shared_bottom.cli.beginning import backend_of
    from shared_bottom.cli.parsing import flags_of_fit
    from shared_bottom.run.errors import check_timeout
    from shared_bottom.run.join import joined

    flags, _ = flags_of_fit(arguments[1:])
    check_timeout(flags.timeout)
    with ExitStack() as stack:
        # Nothing can be half written yet, and while the framework waits for the others Python calls no handler.
        before = install(signal.SIG_DFL)
        try:
            processes = stack.enter_context(joined(backend_of(flags), flags.timeout, flags.threads))
        except INPUT_ERRORS as error:  # each process says so, as none knows whether another one can
            raise ProcessError(one_line(error), code=2) from error
        finally:
            restore(before)
        yield processes


def end_at_once(code: int) -> None:
    """Let the interpreter's end not wait for other processes, which may be gone.

    At its end JAX waits until all processes have come there, for minutes if one is gone, and then kills the process
    with a page of messages; PyTorch's threads may still be in a sum. All files are written and closed by then.

    code: the exit code.
    """

    def end() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    atexit.register(end)  # what was registered last is called first
