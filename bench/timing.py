"""How long training takes: building and the first call apart from the warm ones, and every call waited for."""

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
from backends.fit import epoch_calls
from backends.layout import layout_of
from bench.cases import Case
from bench.machine import PeakMemory
from bench.results import Row, Run
from spec import initial_params, learning_rates
from spec.flops import step_flops

SECONDS = 0.2
"""A repetition goes on for as long, so that one interruption of the machine does not make it."""
SLOW_STEPS = 2
"""Steps of a warm call of JAX's eager execution, which takes tens of milliseconds a step."""
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


class BackendRunner:
    """One of the backends' executions. A call takes consecutive steps of one epoch."""

    def __init__(self, backend: SharedBackend, case: Case, execution: str, device: str) -> None:
        layout, train = layout_of(case.model), case.train
        self.steps = SLOW_STEPS if (backend.name, execution) == ("jax", "eager") else case.steps
        params = layout.pack(initial_params(case.model, seed=train.seed, precision=train.precision))
        self._source = BatchSource(layout, case.data, train.batch_size, train.precision)
        self._trainer = backend.trainer(case.model, train, params, execution, device)
        self._train, self._rates = train, learning_rates(train, train.epochs * case.epoch_steps)
        self._calls = self._endless()
        self._left: Batches = {"learning_rate": np.empty(0)}

    def run(self, steps: int) -> np.ndarray:
        """See `Runner`."""
        while len(self._left["learning_rate"]) < steps:
            self._left = next(self._calls)
        batches = {name: array[:steps] for name, array in self._left.items()}
        self._left = {name: array[steps:] for name, array in self._left.items()}
        return self._trainer.run(batches)[:, 0]

    def _endless(self) -> Iterator[Batches]:
        for epoch in itertools.cycle(range(self._train.epochs)):
            yield from epoch_calls(self._train, self._source, epoch, self._rates)


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
        own = "" if contestant.backend == backend.name else f"{contestant.backend} "
        say(f"{backend.name}: {own}{contestant.execution} {contestant.case.variant}".rstrip())
        runner, row = first_call(contestant, backend)
        runners.append(runner)
        run.rows.append(row)
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
    case, memory = contestant.case, PeakMemory()
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
        device=contestant.device,
        batch_size=case.train.batch_size,
        flops=step_flops(case.model, case.train.batch_size),
        build_seconds=built - start,
        first_call_seconds=done - built,
        steps=case.steps,
        loss=float(losses[case.checked - 1]),
        checked=case.checked,
        host_bytes=memory.bytes(),
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
