"""Runs side by side: what differs between them, what became of each, and their curves in one plot."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from shared_bottom.reports.curves import FEW_TASKS, MARKED
from shared_bottom.reports.page import Picture, number, template
from shared_bottom.reports.style import PALETTE, STYLE, panels, render
from spec.metrics import HIGHER_IS_BETTER, higher_is_better, split_metric
from spec.validation import Finite, NonNegative, Width

NOTHING = "–"
LINES = ("-", "--", ":", "-.")
"""From the seventh run on, the colours are repeated, with another kind of line."""
CAPTION = "The mean training loss and the metrics of the validation rows, by epoch. A circle marks a run's best epoch."


@checked(frozen=True, config=ConfigDict(extra="ignore"))
class EpochLine:
    """A line of metrics.jsonl, as far as it is compared."""

    epoch: Width
    loss: Finite | None
    """None where it was not finite."""
    seconds: NonNegative
    metrics: dict[str, dict[str, Finite | None]] = field(default_factory=dict)
    """By task and name."""

    def metric(self, task: str, name: str) -> float:
        """NaN if it has none that is finite."""
        return _number(self.metrics.get(task, {}).get(name))


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A run as far as it is."""

    name: str
    epochs: Sequence[EpochLine]
    """Those that have ended."""
    fields: Mapping[str, Any]
    """Its experiment, as `spec.files.dotted` gives it."""
    state: str | None = None
    """Whether it is running, finished, stopped, failed or killed, if that is known."""
    backend: str | None = None
    execution: str | None = None
    best_epoch: int | None = None
    """The one that early stopping chose, from 1."""

    @property
    def chosen(self) -> EpochLine | None:
        """The best epoch; without early stopping the last one, and None before the first has ended."""
        if self.best_epoch is not None and self.best_epoch <= len(self.epochs):
            return self.epochs[self.best_epoch - 1]
        return self.epochs[-1] if self.epochs else None

    def metric(self, task: str, name: str) -> float:
        """A metric of the chosen epoch; NaN if it has none."""
        return self.chosen.metric(task, name) if self.chosen else math.nan


class ComparisonTable(NamedTuple):
    """A title, and rows of cells: a name, and what it is for each run."""

    title: str
    rows: list[list[str]]


def tables(runs: Sequence[ComparedRun]) -> list[ComparisonTable]:
    """What became of the runs; the metrics of their chosen epochs, if they have any; the fields that differ, if any."""
    fields = dict.fromkeys(name for run in runs for name in run.fields)
    differing = [name for name in fields if any(run.fields.get(name) != runs[0].fields.get(name) for run in runs)]
    metrics = "metrics of the validation rows, at the best epoch or else the last (*: the best run)"
    candidates = [
        ComparisonTable("", _outcomes(runs)),
        ComparisonTable(metrics, [_metric_row(runs, task, name) for task, name in metric_names(runs)]),
        ComparisonTable(
            "fields of the experiments that differ",
            [[name, *(_text(run.fields.get(name)) for run in runs)] for name in differing],
        ),
    ]
    return [table for table in candidates if table.rows]


def metric_names(runs: Iterable[ComparedRun]) -> list[tuple[str, str]]:
    """The tasks' metrics that any epoch of any run has."""
    lines = (line.metrics for run in runs for line in run.epochs)
    return list(dict.fromkeys((task, name) for metrics in lines for task in metrics for name in metrics[task]))


def curves(runs: Sequence[ComparedRun]) -> Figure:
    """The loss and the validation metrics of all runs by epoch; of more than six tasks, each one's main metric."""
    names = metric_names(runs)
    if len(dict(names)) > FEW_TASKS:
        names = [(task, next(name for other, name in names if other == task)) for task in dict(names)]
    figure, axes = panels(["loss", *(f"{task} · {name}" for task, name in names)], "epoch", "")
    looks = [(line, colour) for line in LINES for colour in PALETTE]
    with mpl.rc_context(STYLE):
        for run, (style, colour) in zip(runs, cycle(looks), strict=False):
            epochs = [line.epoch for line in run.epochs]
            marker = "o" if len(epochs) <= MARKED else ""
            for panel, pair in zip(axes, [None, *names], strict=False):
                values = [line.metric(*pair) if pair else _number(line.loss) for line in run.epochs]
                panel.plot(epochs, values, style, color=colour, marker=marker, markersize=3, label=run.name)
                if run.best_epoch in epochs:
                    best = epochs.index(run.best_epoch)
                    panel.plot(epochs[best], values[best], "o", color=colour, markersize=8, fillstyle="none")
                panel.locator_params(axis="x", integer=True, min_n_ticks=1)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=min(3, len(runs)), fontsize=8, frameon=False)
    return figure


def written(runs: Sequence[ComparedRun], suffix: str) -> bytes:
    """The plot as a file .png or .svg, or the page .html with the tables and the plot."""
    figure = curves(runs)
    png, svg = render(figure)
    if suffix != ".html":
        return png if suffix == ".png" else svg
    picture = Picture("comparison", CAPTION, round(96 * figure.get_figwidth()), png, svg)
    names = [run.name for run in runs]
    return template("comparison.html.j2").render(runs=names, tables=tables(runs), picture=picture).encode()


def _outcomes(runs: Sequence[ComparedRun]) -> list[list[str]]:
    losses = [[_number(line.loss) for line in run.epochs] for run in runs]
    seconds = [sum(line.seconds for line in run.epochs) for run in runs]
    columns = {
        "state": [run.state or NOTHING for run in runs],
        "backend": [run.backend or NOTHING for run in runs],
        "execution": [run.execution or NOTHING for run in runs],
        "epochs": [f"{len(run.epochs)} of {run.fields['train.epochs']}" for run in runs],
        "best epoch": [NOTHING if run.best_epoch is None else str(run.best_epoch) for run in runs],
        "seconds": [f"{value:.1f}" for value in seconds],
        "training loss, last epoch": [number(values[-1]) if values else NOTHING for values in losses],
        "training loss, least": [number(min(values, key=_nan_last)) if values else NOTHING for values in losses],
    }
    return [[name, *cells] for name, cells in columns.items()]


def _metric_row(runs: Sequence[ComparedRun], task: str, name: str) -> list[str]:
    values = [run.metric(task, name) for run in runs]
    higher = higher_is_better(name) if split_metric(name)[0] in HIGHER_IS_BETTER else None  # a later version's
    finite = [value for value in values if math.isfinite(value)]
    best = None if higher is None or len(finite) < 2 else (max if higher else min)(finite)
    return [f"{task} · {name}", *(f"{'*' if value == best else ''}{number(value)}" for value in values)]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _text(value: Any) -> str:
    """A field's value as a cell."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or NOTHING
    return NOTHING if value is None else str(value)
