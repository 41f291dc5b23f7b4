"""One of several processes that train a case together: it does what it is asked, when all are asked."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection

from backends.base import SharedBackend
from backends.layout import layout_of
from bench.cases import load_cases
from bench.options import Options
from bench.results import Row
from bench.timing import Runner, backend_contestant, first_call
from spec import load_backend

TIMEOUT = 300.0
"""Seconds within which the processes of a group must have started."""
SUMS = 50
"""Sums in a row, where they are timed alone."""


def work(
    connection: Connection,
    cores: Sequence[int],
    variables: Mapping[str, str],
    options: Options,
    executions: tuple[str, ...],
    device: str,
) -> None:
    """What a process does: it answers until its connection ends. An error is an answer.

    cores: those that it may use. variables: of the environment, which say which process it is; frameworks are imported
    after they are set.
    """
    if hasattr(os, "sched_setaffinity"):  # only Linux has it
        os.sched_setaffinity(0, cores)
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # on standard output Gloo says that it is connected
    try:
        backend = load_backend(options.backend)
        assert isinstance(backend, SharedBackend)
        backend.join(TIMEOUT, None)
        worker = Worker(backend, options, executions, device)
        connection.send(len(worker.contestants))
        while True:
            question, *arguments = connection.recv()
            connection.send(getattr(worker, question)(*arguments))
    except EOFError:
        return
    except Exception as error:
        connection.send(error)


class Worker:
    """The answers of a process, by the question's name. All processes of a group are asked the same in one order."""

    def __init__(self, backend: SharedBackend, options: Options, executions: tuple[str, ...], device: str) -> None:
        cases = load_cases(options.case, options.data_dir, options.steps)
        self._backend, self._device = backend, device
        self.contestants = [
            backend_contestant(backend, case, execution, device) for case in cases for execution in executions
        ]
        """What each row of the table shows."""
        self._runners: list[Runner] = []
        self._sums: list[Callable[[], None]] = []

    def first(self, index: int) -> Row:
        """Builds the run of a row and trains its first steps. Rows come in order."""
        contestant = self.contestants[index]
        runner, row = first_call(contestant, self._backend)
        runner.run(runner.steps)  # what a first warm call does once is no part of the others
        sums = self._backend.summing(layout_of(contestant.case.model).size, SUMS, self._device)
        sums()
        self._runners.append(runner)
        self._sums.append(sums)
        return row

    def step(self, index: int, calls: int) -> float:
        """µs per step over so many calls. All processes make as many, since each step waits for all."""
        runner = self._runners[index]
        start = time.perf_counter()
        for _ in range(calls):
            runner.run(runner.steps)
        return (time.perf_counter() - start) / (calls * runner.steps) * 1e6

    def sum(self, index: int) -> float:
        """µs per sum of a vector as long as a step's, without the step."""
        start = time.perf_counter()
        self._sums[index]()
        return (time.perf_counter() - start) / SUMS * 1e6
