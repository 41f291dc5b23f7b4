"""What was compared and the outcome: collected step by step, printed, drawn."""

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table


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
        largest = self.largest.setdefault(quantity, Largest())
        if difference > largest.difference:
            self.largest[quantity] = Largest(difference=difference, step=step, where=where)
        kind = quantity.split()[0]
        if difference > self.tolerance and kind not in self.beyond:
            at = np.unravel_index(int(off.argmax()), off.shape)
            index = list(map(int, at)) if off.size > 1 else ""
            values = " and ".join(
                f"{float(side[at])!r} ({name})" for side, name in zip((a, b), self.backends, strict=True)
            )
            self.beyond[kind] = f"step {step}, {quantity} {where}{index}: {values}"


def print_report(title: str, report: Report) -> None:
    """The table, and the verdict below it."""
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
