"""What processes cost and buy: groups of 1, 2, … processes on this machine that train the same steps, in turn."""

import itertools
import math
import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Self

from backends.engines import free_address, place_of, threads_of
from bench.options import Options, process_counts
from bench.results import Run
from bench.timing import SECONDS
from bench.worker import work
from shared_bottom.run.errors import ProcessError
from spec.machine import cores


def measure(run: Run, options: Options, executions: tuple[str, ...], device: str, say: Callable[[str], None]) -> None:
    """Fill `run.rows`, so that what was measured stays when this is interrupted.

    All groups stay alive, and repetitions are interleaved: each has all groups and executions once, in turn, so that a
    machine that slows down hurts all alike. A group that waits for its turn computes nothing.

    Raises ProcessError if a process has died, and what one raises.
    """
    with ExitStack() as stack:
        say(f"{options.backend}, processes: {options.processes}")
        numbers = process_counts(options.processes)
        groups = [stack.enter_context(Group(number, options, executions, device)) for number in numbers]
        rows, *_ = [group.answer() for group in groups]
        timed = []
        for index, group in itertools.product(range(rows), groups):
            row = group.ask("first", index)
            row.processes = group.number
            say(row.name)
            run.rows.append(row)
            call_seconds = group.ask("step", index, 1) * row.steps * 1e-6
            timed.append((group, index, row, math.ceil(SECONDS / call_seconds)))
        for repetition in range(options.repetitions):
            say(f"{options.backend}: repetition {repetition + 1} of {options.repetitions}")
            for group, index, row, calls in timed:
                row.step_microseconds.append(group.ask("step", index, calls))
                if group.number > 1:
                    row.sum_microseconds.append(group.ask("sum", index))


class Group:
    """Processes that were started together, and that are asked the same at the same time."""

    def __init__(self, number: int, options: Options, executions: tuple[str, ...], device: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.number = number
        self._connections: list[Connection] = []
        self._processes: list[SpawnProcess] = []
        address = free_address()
        for rank in range(number):
            connection, other = spawn.Pipe()
            variables = place_of(rank, number, address) | threads_of(options.threads)
            its_cores = cores_of(rank, options.threads)
            arguments = (other, its_cores, variables, options, executions, device)
            process = spawn.Process(target=work, args=arguments, daemon=True)
            process.start()
            other.close()  # so that this end ends when the process does
            self._connections.append(connection)
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):  # without process 0, others would complain before they are ended
            process.kill()
        for process in self._processes:
            process.join()

    def ask(self, *question: Any) -> Any:
        """A question's name and its arguments, for all processes; the answer of process 0."""
        for connection in self._connections:
            with suppress(OSError):  # of who has died, no answer comes
                connection.send(question)
        return self.answer()

    def answer(self) -> Any:
        """What process 0 says, when all have said something: the number of rows first, then what it is asked."""
        answers: dict[int, Any] = {}
        while len(answers) < self.number:
            ready = wait(self._connections)  # the first error is the cause of others
            for rank, connection in enumerate(self._connections):
                if connection in ready:
                    try:
                        answers[rank] = connection.recv()
                    except EOFError:
                        raise ProcessError(f"process {rank} of {self.number} has died") from None
                    if isinstance(answers[rank], Exception):
                        raise answers[rank]
        return answers[0]


def cores_of(rank: int, threads: int) -> list[int]:
    """As many cores of its own as a process has threads; processes take turns on them if there are too few."""
    machine = cores()
    return [machine[(rank * threads + thread) % len(machine)] for thread in range(threads)]
