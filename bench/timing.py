"""How long a training run takes: the first call apart from the warm ones, and every call waited for."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from backends.base import SharedBackend
from backends.batches import Batches, BatchSource
from backends.fit import epoch_calls
from backends.layout import layout_of
from backends.metrics import evaluate
from bench.cases import Case
from spec import initial_params, learning_rates
from spec.training import Device

EAGER_CALL = 16
"""Most steps that a call of JAX's eager execution runs: one takes tens of milliseconds."""
EAGER_CALLS = 4


@dataclass(kw_only=True)
class Row:
    """One line of the report. Times are of wall clock, host work (gathering the rows) included."""

    backend: str
    execution: str
    device: str
    threads: int
    steps: int
    """Steps trained."""
    first_call_seconds: float
    """Building the run and its first call, compiling included."""
    step_microseconds: list[float]
    """Of each warm call: its seconds over its steps."""
    batch_size: int
    first_loss: float
    last_loss: float
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """On the test rows, where the case has some and the whole run was trained."""

    @property
    def median(self) -> float:
        """µs a step once warm."""
        return float(np.median(self.step_microseconds))

    @property
    def rows_per_second(self) -> float:
        """Rows a second once warm."""
        return self.batch_size / self.median * 1e6

    def as_json(self) -> dict[str, Any]:
        """All fields, and what is computed from them."""
        return asdict(self) | {"median_step_microseconds": self.median, "rows_per_second": self.rows_per_second}


def time_execution(backend: SharedBackend, case: Case, execution: str, device: Device, threads: int) -> Row:
    """Train the case's whole run (of JAX's eager execution the first few steps), timing each call."""
    layout, train = layout_of(case.model), case.train
    slow = backend.name == "jax" and execution == "eager"
    source = BatchSource(layout, case.data, train.batch_size, train.precision)
    params = layout.pack(initial_params(case.model, seed=train.seed, precision=train.precision))

    start = time.perf_counter()
    trainer = backend.trainer(case.model, train, params, execution, device)
    losses, seconds = [], []
    for batches in _calls(case, source, short=slow):
        losses.append(trainer.run(batches))  # returns when the work is done
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    curve = np.concatenate(losses)
    warm = [second / len(loss) * 1e6 for second, loss in zip(seconds[1:], losses[1:], strict=True)]
    row = Row(
        backend=backend.name,
        execution=execution,
        device=device,
        threads=threads,
        steps=len(curve),
        first_call_seconds=seconds[0],
        step_microseconds=warm,
        batch_size=train.batch_size,
        first_loss=float(curve[0, 0]),
        last_loss=float(curve[-1, 0]),
    )
    if case.test is not None and not slow:
        predictions = backend.predict(case.model, layout.unpack(trainer.params()), case.test, device=device)
        row.metrics = evaluate(case.model, predictions, case.test)
    return row


def _calls(case: Case, source: BatchSource, *, short: bool) -> Iterator[Batches]:
    rates = learning_rates(case.train, case.train.epochs * case.train.steps_per_epoch(source.rows))
    if short:
        first = next(epoch_calls(case.train, source, 0, rates))
        size = min(EAGER_CALL, max(1, len(first["learning_rate"]) // EAGER_CALLS))
        for start in range(0, size * EAGER_CALLS, size):
            part = {name: array[start : start + size] for name, array in first.items()}
            if len(part["learning_rate"]):
                yield part
        return
    for epoch in range(case.train.epochs):
        yield from epoch_calls(case.train, source, epoch, rates)
