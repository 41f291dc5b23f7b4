"""What a run of the bench found, as it is written to JSON: `Run`, with a `Row` for each way to train.

The file's schema is versioned: `python -c "from bench.results import Run; from spec import json_schema;
print(json_schema(Run))"` prints it. A reader of version 1 may rely on every field below; a field that changes its
meaning counts the version up.
"""

import itertools
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from spec.machine import Machine
from spec.validation import one_line

RECORD = ConfigDict(extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="strings")
EXECUTIONS = ("eager", "step", "epoch")
REFERENCES = ("tutorial's loop", "plain loop")
"""The executions that others are compared with: see `bench.references`."""
LOSS_TOLERANCE = 1e-4
"""Largest relative difference of a loss to the others': rounding comes to 1e-5, a term forgotten to more than 1e-2."""


@dataclass(kw_only=True, config=RECORD)
class Row:
    """One way to train one network. Times are of wall clock, host work (gathering the rows) included."""

    process: str
    """The backend whose process measured it: ratios hold within a process."""
    backend: str
    execution: str
    """eager, step, epoch, or the name of a reference."""
    variant: str = ""
    """Which member of a family of networks: "8 tasks", "batch 512"."""
    device: str
    batch_size: int
    """Rows a step."""
    flops: int
    """Of a step's matrix products: `spec.flops.step_flops`."""
    build_seconds: float
    """Making the trainer: parameters, optimizer, encoded rows."""
    first_call_seconds: float
    """The first `steps` steps, compiling included."""
    steps: int
    """Steps of the first call."""
    checked: int
    """A step of the first call, counted from 1."""
    loss: float
    """Its total loss: all rows of a variant must agree on it."""
    host_bytes: int | None = None
    """Most resident memory of the process during building and first call, all that it held before included. Linux."""
    device_bytes: int | None = None
    """Peak memory of the device's allocator in the process so far, where there is one."""
    step_microseconds: list[float] = Field(default_factory=list)
    """µs a step once warm, of each repetition."""

    @property
    def name(self) -> str:
        """Process, backend if another, execution and variant: "jax: torch plain loop 8 tasks"."""
        return row_name(self.process, self.backend, self.execution, self.variant)

    def percentile(self, q: float) -> float:
        """µs a step, NaN before the first repetition."""
        return float(np.percentile(self.step_microseconds, q)) if self.step_microseconds else float("nan")

    @property
    def median(self) -> float:
        """µs a step."""
        return self.percentile(50)

    @property
    def rows_per_second(self) -> float:
        """Rows a second once warm."""
        return self.batch_size / self.median * 1e6

    @property
    def gflops(self) -> float:
        """GFLOP/s once warm."""
        return self.flops / self.median / 1e3


@dataclass(kw_only=True, config=RECORD)
class Run:
    """One command's outcome."""

    schema_version: Literal[1] = 1
    command: str
    started: str
    """ISO 8601, UTC."""
    case: str
    rows_from: str
    threads: int
    caches: str
    """The folder of compile caches on disk, or "cold": empty ones."""
    interrupted: bool = False
    """Whether Ctrl-C ended it: rows may be missing or have fewer repetitions."""
    machine: Machine
    rows: list[Row] = Field(default_factory=list)
    matmul_gflops: dict[str, list[float]] = Field(default_factory=dict)
    """By process: the speed of a large matrix product by that backend's library, once a repetition."""
    auto: dict[str, dict[int, str]] = Field(default_factory=dict)
    """By process: what execution "auto" takes for a run of so many steps. Of single networks, not of families."""
    metrics: dict[str, dict[str, dict[str, float]]] = Field(default_factory=dict)
    """By process and task: on test rows, after a whole training run."""

    def peers(self, row: Row) -> list[Row]:
        """The rows of the same variant, measured in the same process."""
        return [other for other in self.rows if (other.process, other.variant) == (row.process, row.variant)]

    def speed_up(self, row: Row) -> float | None:
        """How many times faster than the reference of its process; None where there is none."""
        return next((o.median / row.median for o in self.peers(row) if o.execution in REFERENCES), None)

    def pays_after(self, row: Row) -> float | None:
        """After how many steps the row's compiling has paid, against the backend's eager row; None if that is missing.

        Infinite if it never does.
        """
        eager = next((o for o in self.peers(row) if o.backend == row.backend and o.execution == "eager"), None)
        if eager is None or row.execution not in EXECUTIONS[1:]:
            return None
        # What the first call took beyond its steps.
        cost, base = (r.build_seconds + r.first_call_seconds - r.steps * r.median * 1e-6 for r in (row, eager))
        saved = (eager.median - row.median) * 1e-6
        if np.isnan(saved):
            return None
        if cost <= base:
            return 0.0
        return (cost - base) / saved if saved > 0 else float("inf")

    def share_of_peak(self, row: Row) -> float | None:
        """GFLOP/s over those of a large matrix product by the same library."""
        peak = self.matmul_gflops.get(row.process)
        return row.gflops / float(np.median(peak)) if peak and row.backend == row.process else None

    def disagreeing(self) -> list[Row]:
        """Rows whose loss is not that of the others of their variant: their time is no result."""
        return [row for row in self.rows if not self.loss_difference(row) <= LOSS_TOLERANCE]  # so that NaN disagrees

    def loss_difference(self, row: Row) -> float:
        """To the middle one of the variant's finite losses, relative to it."""
        peers = [other.loss for other in self.rows if (other.variant, other.checked) == (row.variant, row.checked)]
        finite = [loss for loss in peers if np.isfinite(loss)]
        middle = statistics.median_low(finite) if finite else float("nan")
        return abs(row.loss - middle) / (abs(middle) or 1.0)

    def apart(self) -> float | None:
        """The largest relative difference of two backends' own losses; None if only one backend ran."""
        own = [row for row in self.rows if row.backend == row.process and row.execution in EXECUTIONS]
        pairs = [
            abs(a.loss - b.loss) / (max(abs(a.loss), abs(b.loss)) or 1.0)
            for a, b in itertools.combinations(own, 2)
            if a.variant == b.variant and a.backend != b.backend
        ]
        return max(pairs, default=None)

    def fastest(self, process: str, steps: int) -> str | None:
        """The execution that ends `steps` steps first by these figures; None if the backend has no row."""
        rows = [row for row in self.rows if row.process == process and row.execution in EXECUTIONS]
        return min(rows, key=lambda row: seconds_of(row, steps)).execution if rows else None


def row_name(process: str, backend: str, execution: str, variant: str) -> str:
    """What progress, plots and comparisons call a row."""
    words = ("" if backend == process else backend, execution, variant)
    return f"{process}: {' '.join(filter(None, words))}"


def seconds_of(row: Row, steps: int) -> float:
    """How long a run of so many steps takes from the start, by the row's figures."""
    return row.build_seconds + row.first_call_seconds + (steps - row.steps) * row.median * 1e-6


def merge(runs: Iterable[Run]) -> Run:
    """One run out of those of several processes, in the first one's place."""
    first, *others = runs
    for other in others:
        first.rows += other.rows
        first.interrupted |= other.interrupted
        first.machine.versions |= other.machine.versions
        for name in ("matmul_gflops", "auto", "metrics"):
            getattr(first, name).update(getattr(other, name))
    return first


def to_json(run: Run) -> bytes:
    """The run as JSON."""
    return TypeAdapter(Run).dump_json(run, indent=2)


def read_run(option: str, path: Path) -> Run:
    """The run in a JSON file. Raises OSError, or ValueError naming the option, the file and the field."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(Run).validate_python(content)
    except ValidationError as error:
        raise ValueError(f"{option}: {path}: {one_line(error)}") from error
    except ValueError as error:
        raise ValueError(f"{option}: expected the JSON of a run, got {str(path)!r}: {one_line(error)}") from error
    except OSError as error:
        raise ValueError(f"{option}: expected the JSON of a run, got {str(path)!r}: {error.strerror}") from error
