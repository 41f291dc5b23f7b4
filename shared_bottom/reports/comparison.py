"""Runs side by side: what differs between them, what became of each, and their curves in one plot."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from shared_bottom.reports.curves import FEW_TASKS, MARKED
from shared_bottom.reports.page import Picture, number, template
from shared_bottom.reports.style import PALETTE, STYLE, panels, render
from spec.metrics import higher_is_better

NOTHING = "–"
LINES = ("-", "--", ":", "-.")
"""From the seventh run on, the colours are repeated, with another kind of line."""
CAPTION = "The mean training loss and the metrics of the validation rows, by epoch. A circle marks a run's best epoch."


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A run as far as it is."""

    name: str
    epochs: Sequence[Mapping[str, Any]]
    """Those that have ended, as the lines of metrics.jsonl."""
    fields: Mapping[str, Any]
    """Its experiment, as `spec.files.dotted` gives it."""
    state: str | None = None
    """Whether it is running, finished, stopped or failed, if it says so."""
    backend: str | None = None
    execution: str | None = None
    best_epoch: int | None = None
    """The one that early stopping chose, from 1."""

    @property
    def chosen(self) -> Mapping[str, Any] | None:
        """The best epoch; without early stopping the last one, and None before the first has ended."""
        if self.best_epoch is not None and self.best_epoch <= len(self.epochs):
            return self.epochs[self.best_epoch - 1]
        return self.epochs[-1] if self.epochs else None

    def metric(self, task: str, name: str) -> float:
        """A metric of the chosen epoch; NaN if it has none."""
        value = ((self.chosen or {}).get("metrics") or {}).get(task, {}).get(name)
        return math.nan if value is None else value


class ComparisonTable(NamedTuple):
    """A title, and rows of cells: a name, and what it is for each run."""

    title: str
    rows: list[list[str]]


def tables(runs: Sequence[ComparedRun]) -> list[ComparisonTable]:
    """What became of the runs, the metrics of their chosen epochs, and the fields that differ."""
    fields = dict.fromkeys(name for run in runs for name in run.fields)
    differing = [name for name in fields if any(run.fields.get(name) != runs[0].fields.get(name) for run in runs)]
    title = "fields of the experiments that differ" if differing else "the experiments are the same"
    metrics = "metrics of the validation rows, at the best epoch or else the last (*: the best run)"
    return [
        ComparisonTable("", _outcomes(runs)),
        ComparisonTable(metrics, [_metric_row(runs, task, name) for task, name in metric_names(runs)]),
        ComparisonTable(title, [[name, *(_text(run.fields.get(name)) for run in runs)] for name in differing]),
    ]


def metric_names(runs: Iterable[ComparedRun]) -> list[tuple[str, str]]:
    """The tasks' metrics that any epoch of any run has."""
    lines = (line.get("metrics") or {} for run in runs for line in run.epochs)
    return list(dict.fromkeys((task, name) for metrics in lines for task in metrics for name in metrics[task]))


def curves(runs: Sequence[ComparedRun]) -> Figure:
    """The loss and the validation metrics of all runs by epoch; of more than six tasks, each one's main metric."""
    names = metric_names(runs)
    if len(dict(names)) > FEW_TASKS:
        names = [(task, next(name for other, name in names if other == task)) for task in dict(names)]
    figure, axes = panels(["loss", *(f"{task} · {name}" for task, name in names)], "epoch", "")
    looks = [(line, colour) for line in LINES for colour in PALETTE]
    with mpl.rc_context(STYLE):
        for run, (line, colour) in zip(runs, cycle(looks), strict=False):
            epochs = [entry["epoch"] for entry in run.epochs]
            marker = "o" if len(epochs) <= MARKED else ""
            for panel, pair in zip(axes, [None, *names], strict=False):
                values = [_value(entry, pair) for entry in run.epochs]
                panel.plot(epochs, values, line, color=colour, marker=marker, markersize=3, label=run.name)
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
    losses = [[math.nan if line["loss"] is None else line["loss"] for line in run.epochs] for run in runs]
    seconds = [sum(line["seconds"] for line in run.epochs) for run in runs]
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
    values, higher = [run.metric(task, name) for run in runs], higher_is_better(name)
    finite = [value for value in values if math.isfinite(value)]
    best = None if higher is None or len(finite) < 2 else (max if higher else min)(finite)
    return [f"{task} · {name}", *(f"{'*' if value == best else ''}{number(value)}" for value in values)]


def _value(line: Mapping[str, Any], pair: tuple[str, str] | None) -> float:
    value = line["loss"] if pair is None else (line.get("metrics") or {}).get(pair[0], {}).get(pair[1])
    return math.nan if value is None else value


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _text(value: Any) -> str:
    """A field's value as a cell."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or NOTHING
    return NOTHING if value is None else str(value)
