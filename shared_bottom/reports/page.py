"""The HTML page of a report, and the values that the template report.html.j2 puts into that of all pages."""

import base64
import math
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from shared_bottom.reports.classes import class_rows
from shared_bottom.reports.epochs import steps_per_epoch
from shared_bottom.reports.rows import TaskRows
from shared_bottom.run.metrics import TaskMetrics, UndefinedMetricWarning
from shared_bottom.run.metrics.rows import Rows
from spec.files import Experiment, to_toml
from spec.machine import Machine, describe
from spec.metrics import higher_is_better
from spec.model import ModelSpec
from spec.outline import outline, sharing_words, task_words
from spec.params import parameter_count
from spec.results import History
from spec.training import TrainSpec

LARGE = 150_000
"""The size in bytes above which an SVG is replaced by the PNG, if that is smaller."""
NAMED = 8
"""The largest number of tasks that the summary names."""


class Picture(NamedTuple):
    """A plot in both formats, and the text below it."""

    name: str
    caption: str
    width: int
    """The width on the page, in CSS pixels."""
    png: bytes
    svg: bytes

    @property
    def source(self) -> str:
        """A data URI of the SVG, which is sharp at any size, or of the PNG if the SVG is large and the PNG smaller."""
        use_svg = len(self.svg) <= max(len(self.png), LARGE)
        kind, content = ("svg+xml", self.svg) if use_svg else ("png", self.png)
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


class MetricRow(NamedTuple):
    """A row of the table of metrics: one metric of one task, its values as text."""

    task: str
    metric: str
    last: str
    """The value for the validation rows after the last epoch."""
    best: str
    """The value for the validation rows after the best epoch, and which epoch that is."""
    evaluated: str
    """The value for the rows that the report was evaluated on."""


def page(
    title: str,
    model: ModelSpec,
    train: TrainSpec,
    history: History,
    rows: list[TaskRows],
    evaluated_on: str,
    evaluated: int,
    extra: dict[str, str],
    pictures: list[Picture],
    columns: Sequence[Sequence[str]],
) -> str:
    """The page as HTML.

    title, model, train, history, evaluated_on, extra, columns: as for `shared_bottom.reports.write_report`.
    rows: the rows of each task that were evaluated.
    evaluated: the number of rows that were given to be evaluated, with or without labels.
    pictures: the plots, in the order in which they are shown.
    """
    return template("report.html.j2").render(
        title=title,
        summary=extra | summary(model, train, history) | ({"Evaluated on": evaluated_on} if rows else {}),
        metrics=list(metric_rows(history, rows)),
        best_epoch=history.best_epoch,
        evaluated_on=f"{evaluated_on} ({evaluated:,} rows)" if rows else "",
        has_epochs=any("metrics" in entry for entry in history.epochs),
        pictures=pictures,
        columns=columns,
        classes=list(class_rows(rows)),
        spec=to_toml(Experiment(model=model, train=train)),
        layers=[(row.name, row.shape, row.parameters) for row in outline(model, train.frozen)],
        parameters=parameter_count(model),
        environment=environment_table(describe()),
    )


def template(name: str) -> jinja2.Template:
    """The template with this name, from the folder of this file."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


def summary(model: ModelSpec, train: TrainSpec, history: History) -> dict[str, str]:
    """What was trained, how it was trained and how long that took: the names and the values of the summary."""
    tasks = ", ".join(f"{task.name} ({task_words(task)})" for task in model.tasks[:NAMED])
    unnamed = len(model.tasks) - NAMED
    inputs = [f"{model.numeric} numeric"] * bool(model.numeric)
    inputs += [f"{len(model.categorical)} categorical"] * bool(model.categorical)
    steps, epochs, length = len(history.step_loss), len(history.epochs), steps_per_epoch(history)
    seconds = sum(entry["seconds"] for entry in history.epochs)
    values = {
        "Tasks": tasks + (f" and {unnamed} more" if unnamed > 0 else ""),
        "Inputs": ", ".join(inputs),
        "Network": f"{sharing_words(model)}, {parameter_count(model):,} parameters",
        "Optimizer": f"{train.optimizer.kind}, learning rate {train.optimizer.learning_rate:g}, "
        f"{train.schedule.kind} schedule",
        "Balancing": train.balancing.kind,
        "Execution": f"{history.execution} on {history.device}, threads: {history.threads}, {train.precision}",
        "Steps": f"{steps:,} of up to {train.batch_size:,} rows" + (f", {length:,} an epoch" if length else ""),
        "Epochs": f"{epochs} of {train.epochs}" + (f", the best {history.best_epoch}" if history.best_epoch else ""),
        "Time": str(timedelta(seconds=round(seconds))) if seconds >= 60 else f"{seconds:.1f} s",
    }
    if epochs:
        values["Loss"] = f"{number(history.epochs[-1]['loss'])} over the last epoch"
    return values


def metric_rows(history: History, rows: list[TaskRows]) -> Iterator[MetricRow]:
    """The rows of the table of metrics: after the last epoch, after the best epoch, and for the evaluated rows.

    Of these the loss is left out, since they may be in another unit than the one that the network learns.

    history: the run.
    rows: the evaluated rows of each task.
    """
    entries = [entry for entry in history.epochs if "metrics" in entry]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)  # the table shows a dash for such a metric
        evaluated = {}
        for row in rows:
            of_task = TaskMetrics(row.task, [name for name in row.task.metrics if name != "loss"])
            of_task.add(
                Rows(task=row.task, label=row.label, predicted=row.predicted, weight=row.weight, group=row.group)
            )
            evaluated[row.task.name] = of_task.values()
    for task, metrics in (entries[-1]["metrics"] if entries else evaluated).items():
        for name in metrics:
            values = [entry["metrics"][task][name] for entry in entries]
            best = best_epoch(history, name, [entry["epoch"] for entry in entries], values)
            yield MetricRow(
                task=task,
                metric=name,
                last=number(values[-1]) if values else "",
                best=f"{number(values[best])} (epoch {entries[best]['epoch']})" if best is not None else "–",
                evaluated=number(evaluated.get(task, {}).get(name, math.nan)),
            )


def best_epoch(history: History, metric: str, epochs: list[int], values: list[float]) -> int | None:
    """The index in `epochs` of the epoch that early stopping chose, or if it chose none, of the epoch best by a metric.

    history: the run.
    metric: the name of the metric.
    epochs: the epochs that have metrics, counted from 1.
    values: the values of the metric after these epochs. If none of them is finite, or if neither higher nor lower ones
    are better, the result is None.
    """
    if history.best_epoch in epochs:
        return epochs.index(history.best_epoch)
    higher = higher_is_better(metric)
    if higher is None or not np.isfinite(values).any():
        return None
    return int(np.nanargmax(values) if higher else np.nanargmin(values))


def environment_table(machine: Machine) -> dict[str, str]:
    """The machine on which the report was made, and the versions of the installed software."""
    memory = f", {machine.memory_bytes / 2**30:.0f} GiB of memory" if machine.memory_bytes else ""
    return machine.versions | {
        "system": machine.system,
        "processor": f"{machine.processor}, {machine.cores} cores{memory}",
    }


def number(value: float) -> str:
    """A number with five significant digits, or a dash if it is not finite."""
    return f"{value:.5g}" if math.isfinite(value) else "–"
