"""How long training takes: building and the first call apart from the warm ones, and every call waited for."""

import copy
import functools
import gc
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from backends.base import SharedBackend
from backends.batches import Batches, BatchSource
from backends.layout import layout_of
from bench.case import Case
from bench.machine import PeakMemory
from bench.results import Row, Run, row_name
from shared_bottom.run.calls import SHORT_CALL, epoch_calls
from spec import initial_params, learning_rates
from spec.flops import step_flops

SECONDS = 0.2
"""A repetition goes on for as long, so that one interruption of the machine does not make it."""
SLOW, SLOW_STEPS = 10e-3, 2
"""Where a step takes so many seconds, as JAX's do without a compiler, a warm call has so few of them."""
MATMUL = 2048
"""Rows and columns of the matrix product that shows the library's peak."""


class Runner(Protocol):
    """A training run that goes on for as long as it is asked."""

    steps: int
    """Steps of a warm call."""

    def run(self, steps: int) -> np.ndarray:
        """Train the next `steps` steps; returns when done, with their total losses (steps,)."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A way to train a case."""

    case: Case
    backend: str
    execution: str
    device: str
    build: Callable[[], Runner]


class Portions(BatchSource):
    """Rows that are gathered for one call of a runner at a time, so that each repetition has its share of that work.

    The training loop gathers those of many short calls at once.
    """

    most: int
    """Steps whose rows are gathered at once, at most."""

    def steps_per_call(self) -> int:
        """See `BatchSource`."""
        return min(self.most, super().steps_per_call())


class BackendRunner:
    """One of the backends' executions. A call takes consecutive steps of one epoch, and gathers their rows itself.

    Where the training loop would divide a call among several, so does this.
    """

    def __init__(self, backend: SharedBackend, case: Case, execution: str, device: str) -> None:
        train = case.train
        layout = layout_of(case.model, train.step_spec.lazy_batch, train.frozen)
        self.steps = min(SLOW_STEPS, case.steps) if backend.costs[execution].step > SLOW else case.steps
        params = initial_params(case.model, seed=train.seed, precision=train.precision)
        self._case, self._source = case, Portions(layout, case.read(), train.batch_size, train.precision)
        self._longest = None if execution == "epoch" else SHORT_CALL
        self._trainer = backend.trainer(case.model, train, params, execution, device, part=backend.part(device))
        self._rates = learning_rates(train, train.epochs * case.epoch_steps)
        self._calls: dict[int, Iterator[Batches]] = {}

    def run(self, steps: int) -> np.ndarray:
        """See `Runner`."""
        calls = self._calls.setdefault(steps, self._endless(steps))
        losses = [np.empty(0)]
        while sum(map(len, losses)) < steps:
            losses.append(self._trainer.run(next(calls))[:, 0])
        return np.concatenate(losses)

    def _endless(self, steps: int) -> Iterator[Batches]:
        """Calls that make up so many steps each time; an epoch's last steps that do not are left out."""
        train, source = self._case.train, copy.copy(self._source)
        source.most = steps
        for epoch in itertools.cycle(range(train.epochs)):
            left = self._case.epoch_steps // steps * steps
            for batches in epoch_calls(train, source, epoch, self._rates, 0, steps, self._longest):
                if (left := left - len(batches["learning_rate"])) < 0:
                    break
                yield batches


def backend_contestant(backend: SharedBackend, case: Case, execution: str, device: str) -> Contestant:
    """A backend's execution."""
    return Contestant(
        case=case,
        backend=backend.name,
        execution=execution,
        device=device,
        build=lambda: BackendRunner(backend, case, execution, device),
    )


def measure(
    run: Run,
    backend: SharedBackend,
    device: str,
    contestants: list[Contestant],
    repetitions: int,
    say: Callable[[str], None],
) -> None:
    """Fill `run.rows`, so that what was measured stays when this is interrupted.

    Repetitions are interleaved: each runs all contestants once, so that a machine that slows down hurts all alike.
    """
    runners = []
    for contestant in contestants:
        case = contestant.case
        say(row_name(backend.name, contestant.backend, contestant.execution, case.way, case.variant))
        runner, row = first_call(contestant, backend)
        runners.append(runner)
        run.rows.append(row)
    for runner in runners:  # what a first warm call does once is no part of the others
        runner.run(runner.steps)
    product, peaks = backend.matmul(MATMUL, device), run.matmul_gflops.setdefault(backend.name, [])
    product()
    gc.collect()
    for repetition in range(repetitions):
        say(f"{backend.name}: repetition {repetition + 1} of {repetitions}")
        for runner, row in zip(runners, run.rows, strict=True):
            row.step_microseconds.append(repeat(functools.partial(runner.run, runner.steps)) / runner.steps * 1e6)
        peaks.append(2 * MATMUL**3 / repeat(product) / 1e9)


def first_call(contestant: Contestant, backend: SharedBackend) -> tuple[Runner, Row]:
    """Build the run and train its first steps."""
    case = contestant.case
    case.read()  # the first time, they may have to be made: that is no part of building
    memory = PeakMemory()
    start = time.perf_counter()
    runner = contestant.build()
    built = time.perf_counter()
    losses = runner.run(case.steps)
    done = time.perf_counter()
    row = Row(
        process=backend.name,
        backend=contestant.backend,
        execution=contestant.execution,
        variant=case.variant,
        way=case.way,
        curve=case.curve,
        device=contestant.device,
        batch_size=case.train.batch_size,
        flops=step_flops(case.model, case.train.batch_size),
        build_seconds=built - start,
        first_call_seconds=done - built,
        steps=case.steps,
        loss=float(losses[case.checked - 1]),
        checked=case.checked,
        host_bytes=memory.bytes(),
        held_bytes=memory.before,
        device_bytes=backend.peak_memory(contestant.device) if contestant.backend == backend.name else None,
    )
    return runner, row


def repeat(call: Callable[[], object]) -> float:
    """Seconds of a call, the mean over as many as fill a repetition."""
    start = time.perf_counter()
    count = 0
    while True:
        call()
        count += 1
        if (elapsed := time.perf_counter() - start) >= SECONDS:
            return elapsed / count
