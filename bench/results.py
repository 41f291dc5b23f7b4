"""The results of a run of the bench, as they are written to JSON: a `Run` has a `Row` for each way to train.

The schema of the file has a version: `python -c "from bench.results import Run; from spec import json_schema;
print(json_schema(Run))"` prints the schema. A reader of version 1 may rely on all fields below. If the meaning of a
field changes, the version is increased.
"""

import itertools
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from spec.machine import Machine
from spec.reading import parse_json, read_text
from spec.validation import one_line

RECORD = ConfigDict(extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="strings")
EXECUTIONS = ("eager", "step", "epoch")
REFERENCES = ("tutorial's loop", "plain loop", "sparse loop")
"""The loops that the backends are compared with: see `bench.references`."""
LOSS_TOLERANCE = 1e-4
"""Largest relative difference between two losses. Rounding causes 1e-5; a forgotten term causes more than 1e-2."""


@dataclass(kw_only=True, config=RECORD)
class Row:
    """One way to train one network. Times are wall clock times and include work of the host (gathering the rows)."""

    process: str
    """The backend in whose process it was measured. Compare times only within a process."""
    backend: str
    execution: str
    """eager, step, epoch, or the name of a reference loop."""
    variant: str = ""
    """Which network it is, if the case is a family of networks: "8 tasks", "batch 512"."""
    way: str = ""
    """How it was trained, if a variant is trained in several ways: "dense" and "lazy"."""
    curve: str = ""
    """Which loss curve it draws, if the ways draw different ones."""
    device: str
    batch_size: int
    """Rows per step."""
    flops: int
    """Floating-point operations in the matrix products of a step: see `spec.flops.step_flops`."""
    build_seconds: float
    """Time to make the trainer: parameters, optimizer, encoded rows."""
    first_call_seconds: float
    """Time of the first `steps` steps, compiling included."""
    steps: int
    """Number of steps in the first call."""
    checked: int
    """The step of the first call, counted from 1, whose loss is compared."""
    loss: float
    """The total loss at that step. It must be the same in all rows of a variant and a curve."""
    host_bytes: int | None = None
    """Peak resident memory of the process during building and first call, including what it held before. Linux only."""
    held_bytes: int | None = None
    """Of the peak, what the process held before."""
    device_bytes: int | None = None
    """Peak memory of the device's allocator in the process so far, if the device has one."""
    step_microseconds: list[float] = Field(default_factory=list)
    """µs per step after the first call, for each repetition."""
    processes: int | None = None
    """How many processes shared each batch, if that is what the run compares."""
    sum_microseconds: list[float] = Field(default_factory=list)
    """µs of a step's sum over the processes alone, without the step, for each repetition."""

    @property
    def name(self) -> str:
        """Process, backend if it is another one, execution, way and variant: "jax: torch plain loop 8 tasks"."""
        words = row_name(self.process, self.backend, self.execution, self.way, self.variant)
        return words if self.processes is None else f"{words}, processes: {self.processes}"

    def percentile(self, q: float) -> float:
        """The q-th percentile of the µs per step; NaN before the first repetition."""
        return float(np.percentile(self.step_microseconds, q)) if self.step_microseconds else float("nan")

    @property
    def median(self) -> float:
        """The median of the µs per step."""
        return self.percentile(50)

    @property
    def added_bytes(self) -> int | None:
        """The peak without what the process held before."""
        return None if self.host_bytes is None or self.held_bytes is None else self.host_bytes - self.held_bytes

    @property
    def rows_per_second(self) -> float:
        """Rows per second, by the median."""
        return self.batch_size / self.median * 1e6

    @property
    def sum_median(self) -> float | None:
        """The median of the µs per sum; None if there is nothing to sum."""
        return float(np.median(self.sum_microseconds)) if self.sum_microseconds else None

    @property
    def sum_share(self) -> float | None:
        """The time of a sum alone, divided by that of a step; None if there is nothing to sum."""
        return None if self.sum_median is None else self.sum_median / self.median

    @property
    def gflops(self) -> float:
        """GFLOP/s, by the median."""
        return self.flops / self.median / 1e3


@dataclass(kw_only=True, config=RECORD)
class Run:
    """The result of one command."""

    schema_version: Literal[1] = 1
    command: str
    started: str
    """ISO 8601, UTC."""
    case: str
    rows_from: str
    threads: int
    caches: str
    """The folder of the compile caches on disk, or "cold" if they were empty."""
    interrupted: bool = False
    """Whether Ctrl-C ended the run. Then rows may be missing or have fewer repetitions."""
    machine: Machine
    left_out: list[str] = Field(default_factory=list)
    """What was not measured, and why."""
    rows: list[Row] = Field(default_factory=list)
    matmul_gflops: dict[str, list[float]] = Field(default_factory=dict)
    """By process: the speed of a large matrix product in that backend's library, once per repetition."""
    auto: dict[str, dict[int, str]] = Field(default_factory=dict)
    """By process and number of steps: the execution that "auto" chooses. For single networks, not for families."""
    metrics: dict[str, dict[str, dict[str, float]]] = Field(default_factory=dict)
    """By process and task: the metrics on the test rows after a whole training run."""

    def peers(self, row: Row) -> list[Row]:
        """The rows of the same variant, measured in the same process."""
        return [other for other in self.rows if (other.process, other.variant) == (row.process, row.variant)]

    def speed_up(self, row: Row) -> float | None:
        """How many times faster the row is than the reference loop of its process; None if there is none."""
        return next((peer.median / row.median for peer in self.peers(row) if peer.execution in REFERENCES), None)

    @property
    def ways(self) -> list[str]:
        """The ways in which variants were trained, the first of which the others are compared with."""
        return list(dict.fromkeys(row.way for row in self.rows if row.way))

    def over_first_way(self, row: Row) -> float | None:
        """How many times faster the row is than the same execution in the first way; None if that was not measured."""
        same = [peer for peer in self.peers(row) if (peer.backend, peer.execution) == (row.backend, row.execution)]
        return next((peer.median / row.median for peer in same if [peer.way] == self.ways[:1]), None)

    @property
    def compares_processes(self) -> bool:
        """Whether rows differ in the number of processes."""
        return any(row.processes is not None for row in self.rows)

    def over_fewest(self, row: Row) -> float:
        """How many times faster the row is than the same execution with the fewest processes."""
        same = [peer for peer in self.peers(row) if (peer.execution, peer.way) == (row.execution, row.way)]
        return min(same, key=lambda peer: peer.processes or 1).median / row.median

    def efficiency(self, row: Row) -> float:
        """That, divided by how many times more processes there are."""
        numbers = [other.processes or 1 for other in self.rows]
        return self.over_fewest(row) * min(numbers) / (row.processes or 1)

    def growth(self, row: Row) -> float:
        """A step's time, divided by that of the first variant in the same way and execution."""
        series = (row.process, row.backend, row.execution, row.way)
        rows = (other for other in self.rows if (other.process, other.backend, other.execution, other.way) == series)
        return row.median / next(rows).median

    def pays_after(self, row: Row) -> float | None:
        """After how many steps compiling has paid for itself, compared with the backend's eager row.

        None if there is no eager row; infinite if compiling never pays.
        """
        same_backend = [peer for peer in self.peers(row) if (peer.backend, peer.way) == (row.backend, row.way)]
        eager = next((peer for peer in same_backend if peer.execution == "eager"), None)
        if eager is None or row.execution not in EXECUTIONS[1:]:
            return None
        extra_seconds = start_seconds(row) - start_seconds(eager)
        saved_per_step = (eager.median - row.median) * 1e-6
        if np.isnan(saved_per_step):
            return None
        if extra_seconds <= 0:
            return 0.0
        return extra_seconds / saved_per_step if saved_per_step > 0 else float("inf")

    def share_of_peak(self, row: Row) -> float | None:
        """The row's GFLOP/s divided by those of a large matrix product in the same library."""
        peak = self.matmul_gflops.get(row.process)
        return row.gflops / float(np.median(peak)) if peak and row.backend == row.process else None

    def disagreeing(self) -> list[Row]:
        """The rows whose loss differs from that of the others of their curve. Their times do not count."""
        return [row for row in self.rows if not self.loss_difference(row) <= LOSS_TOLERANCE]  # so that NaN disagrees

    def loss_difference(self, row: Row) -> float:
        """The relative difference to the median (the lower one) of the finite losses of the variant and the curve."""
        curve = (row.variant, row.curve, row.checked)
        losses = [other.loss for other in self.rows if (other.variant, other.curve, other.checked) == curve]
        finite = [loss for loss in losses if np.isfinite(loss)]
        middle = statistics.median_low(finite) if finite else float("nan")
        return abs(row.loss - middle) / (abs(middle) or 1.0)

    def backend_difference(self) -> float | None:
        """The largest relative difference between the losses of two backends, without the loops that they are compared
        with; None if only one backend ran.
        """
        backend_rows = [row for row in self.rows if row.backend == row.process and row.execution in EXECUTIONS]
        differences = [
            abs(a.loss - b.loss) / (max(abs(a.loss), abs(b.loss)) or 1.0)
            for a, b in itertools.combinations(backend_rows, 2)
            if (a.variant, a.curve) == (b.variant, b.curve) and a.backend != b.backend
        ]
        return max(differences, default=None)

    def fastest(self, process: str, steps: int) -> str | None:
        """The execution that finishes `steps` steps first by these figures; None if the backend has no row."""
        backend_rows = [row for row in self.rows if row.process == process and row.execution in EXECUTIONS]
        return min(backend_rows, key=lambda row: seconds_of(row, steps)).execution if backend_rows else None


def row_name(process: str, backend: str, execution: str, way: str, variant: str) -> str:
    """The name of a row in the progress lines, plots and comparisons."""
    words = ("" if backend == process else backend, execution, way, variant)
    return f"{process}: {' '.join(filter(None, words))}"


def start_seconds(row: Row) -> float:
    """How long building and the first call took, without the time of the steps themselves."""
    return row.build_seconds + row.first_call_seconds - row.steps * row.median * 1e-6


def seconds_of(row: Row, steps: int) -> float:
    """How long a run of so many steps takes, building and first call included, by the row's figures."""
    return row.build_seconds + row.first_call_seconds + (steps - row.steps) * row.median * 1e-6


def merge(runs: Iterable[Run]) -> Run:
    """Merges the runs of several processes into the first of them, and returns it."""
    first, *others = runs
    for other in others:
        first.rows += other.rows
        first.interrupted |= other.interrupted
        first.left_out += [reason for reason in other.left_out if reason not in first.left_out]
        first.machine.versions |= other.machine.versions
        for name in ("matmul_gflops", "auto", "metrics"):
            getattr(first, name).update(getattr(other, name))
    return first


def to_json(run: Run) -> bytes:
    """The run as JSON."""
    return TypeAdapter(Run).dump_json(run, indent=2)


def read_run(option: str, path: Path) -> Run:
    """The run in a JSON file. Raises a ValueError that names the option, the file and the field."""
    try:
        return TypeAdapter(Run).validate_python(parse_json(read_text(path)))
    except ValidationError as error:
        raise ValueError(f"{option}: {path}: {one_line(error)}") from error
    except ValueError as error:
        raise ValueError(f"{option}: expected the JSON of a run, got {str(path)!r}: {one_line(error)}") from error
    except OSError as error:
        raise ValueError(f"{option}: expected the JSON of a run, got {str(path)!r}: {error.strerror}") from error
