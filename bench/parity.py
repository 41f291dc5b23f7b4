"""Where two backends differ, and by how much: both train in lock step, and every step is compared.

    python -m bench.parity --case tutorial

Differences are relative to the larger of the two sides: of a loss, to the loss; of a gradient or a parameter, to the
largest element of its array, since an element that is all but zero carries the rounding of its neighbours.
"""

import dataclasses
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from backends.balancing import balance_of
from backends.base import SharedBackend
from backends.batches import Batches, BatchSource
from backends.layout import layout_of
from bench.cases import Case, load_cases
from shared_bottom.disk import check_output, write_whole
from shared_bottom.run.calls import epoch_calls
from spec import backend_names, initial_params, learning_rates, load_backend
from spec.validation import one_line

TOLERANCES = {"float64": 1e-9, "float32": 1e-5}
LOCK_STEP = {"torch": "eager", "jax": "step"}
"""What each backend runs: the cheapest way to do one step at a time."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train one network in both backends, step by step, and report where they differ. Exit code 1 beyond tolerance."""

    case: str = "tutorial"
    """tutorial, census, wide, or a FILE.toml with [model] and [train], trained on random rows."""
    precision: Literal["float64", "float32"] = "float64"
    """float32 rounding is amplified by training, so that long float32 runs part without a fault."""
    steps: int = 320
    """Training steps to compare, counted from 0. More than the case has add epochs, over which a schedule stretches."""
    tolerance: float | None = None
    """Largest relative difference allowed: 1e-9 in float64, 1e-5 in float32 if not given."""
    data_dir: Path | None = None
    """Folder with the Census-Income files."""
    json: Path | None = None
    """Write the report to this file."""
    plot: Path | None = None
    """Write both loss curves and their difference to this PNG."""


@dataclass(kw_only=True)
class Largest:
    """The largest relative difference of a quantity so far."""

    difference: float = 0.0
    step: int = 0
    where: str = ""


@dataclass(kw_only=True)
class Report:
    """What was compared, and the outcome."""

    backends: list[str]
    tolerance: float
    losses: list[list[list[float]]] = field(default_factory=list)
    """By step and backend: the total loss, then each task's."""
    largest: dict[str, Largest] = field(default_factory=dict)
    beyond: dict[str, str] = field(default_factory=dict)
    """For loss, gradient, parameter and balance: the first step beyond the tolerance, and there the first in network
    order, with both values."""

    def compare(self, quantity: str, step: int, where: str, a: Any, b: Any) -> None:
        """Take note of one pair of arrays."""
        a, b = np.atleast_1d(np.asarray(a, np.float64)), np.atleast_1d(np.asarray(b, np.float64))
        scale = max(np.abs(a).max(), np.abs(b).max())
        off = np.abs(a - b) / (scale if scale > 0 else 1.0)
        off = np.where(np.isnan(off), np.inf, off)  # NaN agrees with nothing
        difference = float(off.max())
        found = self.largest.setdefault(quantity, Largest())
        if difference > found.difference:
            self.largest[quantity] = Largest(difference=difference, step=step, where=where)
        kind = quantity.split()[0]
        if difference > self.tolerance and kind not in self.beyond:
            at = np.unravel_index(int(off.argmax()), off.shape)
            index = list(map(int, at)) if off.size > 1 else ""
            values = " and ".join(
                f"{float(side[at])!r} ({name})" for side, name in zip((a, b), self.backends, strict=True)
            )
            self.beyond[kind] = f"step {step}, {quantity} {where}{index}: {values}"


def compare_backends(case: Case, backends: list[SharedBackend], steps: int, tolerance: float) -> Report:
    """Train `steps` steps of the case in both backends, and compare losses, gradients and parameters at each.

    The gradient is that of the total loss by the tasks' own weights; what balancing makes of it shows in the
    parameters, and what it learns and keeps is compared as well.
    """
    layout = layout_of(case.model)
    params = layout.to_vector(initial_params(case.model, seed=case.train.seed, precision=case.train.precision))
    trainers = [
        backend.trainer(case.model, case.train, params, LOCK_STEP.get(backend.name, "eager"), "cpu")
        for backend in backends
    ]
    report = Report(backends=[backend.name for backend in backends], tolerance=tolerance)
    before, names = [params, params], ["total", *(task.name for task in layout.tasks)]
    for step, batches in enumerate(single_steps(case, steps)):
        batch = {name: np.asarray(array[0]) for name, array in batches.items()}
        gradients = [
            layout.to_params(backend.loss_and_gradient(case.model, own, batch, "cpu")[1])
            for backend, own in zip(backends, before, strict=True)
        ]
        losses = [trainer.run(batches)[0] for trainer in trainers]
        before = [trainer.params() for trainer in trainers]
        report.losses.append([loss[: len(names)].tolist() for loss in losses])
        for i, name in enumerate(names):
            report.compare(f"loss {name}", step, "", losses[0][i], losses[1][i])
        after = [layout.to_params(own) for own in before]
        balances = [balance_of(layout, case.train, trainer) for trainer in trainers]
        for quantity, arrays in (("gradient", gradients), ("parameter", after), ("balance", balances)):
            for name in arrays[0]:
                report.compare(quantity, step, name, arrays[0][name], arrays[1][name])
    return report


def single_steps(case: Case, steps: int) -> Iterator[Batches]:
    """The first `steps` steps of the case's run, one at a time; its epochs go on as long as it takes."""
    train = case.train
    source = BatchSource(layout_of(case.model), case.data, train.batch_size, train.precision)
    per_epoch = train.steps_per_epoch(source.rows)
    train = dataclasses.replace(train, epochs=max(train.epochs, -(-steps // per_epoch)))
    rates = learning_rates(train, train.epochs * per_epoch)
    done = 0
    for epoch in range(train.epochs):
        for batches in epoch_calls(train, source, epoch, rates):
            for i in range(len(batches["learning_rate"])):
                if done == steps:
                    return
                yield {name: array[i : i + 1] for name, array in batches.items()}
                done += 1


def print_report(case: Case, options: Options, report: Report) -> None:
    """The table, and the verdict below it."""
    title = f"{case.name}, {options.steps} steps in {options.precision}, {' against '.join(report.backends)}"
    table = Table("quantity", "largest relative difference", "at step", "where", title=title, title_justify="left")
    for quantity, largest in report.largest.items():
        table.add_row(quantity, f"{largest.difference:.1e}", str(largest.step), largest.where)
    console = Console()
    Console(width=max(console.width, 100)).print(table)
    for line in report.beyond.values() or ["nothing"]:
        print(f"beyond {report.tolerance:g}: {line}")


def plot_report(report: Report) -> bytes:
    """A PNG: both loss curves, and their difference below on a logarithmic axis."""
    from matplotlib.figure import Figure

    curves = np.array(report.losses)[:, :, 0]
    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for curve, name, style in zip(curves.T, report.backends, ("-", "--"), strict=True):
        above.plot(curve, style, label=name)
    above.set(ylabel="total loss")
    above.legend()
    difference = np.abs(curves[:, 0] - curves[:, 1]) / np.abs(curves).max(axis=1)
    below.semilogy(np.where(difference > 0, difference, np.nan), ".", markersize=3, label="difference")
    below.axhline(report.tolerance, color="tab:red", label="tolerance")
    below.set(xlabel="step", ylabel="relative difference")
    below.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def main() -> None:
    """Parse, check everything, then train and compare."""
    options = tyro.cli(Options, prog="python -m bench.parity")
    try:
        if options.steps < 1:
            raise ValueError(f"--steps: expected 1 or more, got {options.steps}")
        if options.tolerance is not None and not 0 < options.tolerance < float("inf"):
            raise ValueError(f"--tolerance: expected a finite number above 0, got {options.tolerance}")
        check_output("--json", options.json)
        check_output("--plot", options.plot)
        backends = [cast(SharedBackend, load_backend(name)) for name in backend_names()]
        case, *family = load_cases(options.case, options.data_dir)
        if family:
            raise ValueError(f"--case: expected one network, got {options.case}, a family of {1 + len(family)}")
    except (ValueError, ImportError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from error
    case = dataclasses.replace(case, train=dataclasses.replace(case.train, precision=options.precision))
    tolerance = TOLERANCES[options.precision] if options.tolerance is None else options.tolerance
    report = compare_backends(case, backends, options.steps, tolerance)
    print_report(case, options, report)
    if options.json:
        content = {"case": case.name, "steps": options.steps, **asdict(report)}
        write_whole(options.json, json.dumps(content, indent=2).encode())
    if options.plot:
        write_whole(options.plot, plot_report(report))
    raise SystemExit(1 if report.beyond else 0)


if __name__ == "__main__":
    main()
