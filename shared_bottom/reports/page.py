"""The report's page: what stands in report.html.j2."""

import base64
import math
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from shared_bottom.reports.epochs import steps_per_epoch
from shared_bottom.reports.rows import Rows
from shared_bottom.run.metrics import UndefinedMetricWarning, evaluate_rows
from spec.files import Experiment, to_toml
from spec.machine import Machine, describe
from spec.model import ModelSpec
from spec.params import parameter_count, parameter_shapes
from spec.results import History
from spec.tasks import METRICS
from spec.training import TrainSpec

TEMPLATE = Path(__file__).with_name("report.html.j2")
LARGE = 150_000
"""Bytes of an SVG from which on the page may take the PNG instead."""
NAMED = 8
"""Tasks up to which the summary names each."""


class Picture(NamedTuple):
    """A plot in both formats."""

    name: str
    caption: str
    width: int
    """CSS pixels."""
    png: bytes
    svg: bytes

    @property
    def source(self) -> str:
        """A data URI: of the SVG, which is sharp at any size, or if it is large and the PNG is smaller, of that."""
        svg = len(self.svg) <= max(len(self.png), LARGE)
        kind, content = ("svg+xml", self.svg) if svg else ("png", self.png)
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


class MetricRow(NamedTuple):
    """A metric of a task, in words."""

    task: str
    metric: str
    last: str
    best: str
    evaluated: str


def page(
    title: str,
    model: ModelSpec,
    train: TrainSpec,
    history: History,
    rows: list[Rows],
    evaluated_on: str,
    evaluated: int,
    extra: dict[str, str],
    pictures: list[Picture],
) -> str:
    """The HTML. evaluated: the number of rows that were evaluated."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    layers = layer_table(model)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        summary=extra | summary(model, train, history) | ({"Evaluated on": evaluated_on} if rows else {}),
        metrics=list(metric_rows(history, rows)),
        best_epoch=history.best_epoch,
        evaluated_on=f"{evaluated_on} ({evaluated:,} rows)" if rows else "",
        has_epochs=any("metrics" in entry for entry in history.epochs),
        pictures=pictures,
        spec=to_toml(Experiment(model=model, train=train)),
        layers=layers,
        parameters=sum(count for _, _, count in layers),
        environment=environment_table(describe()),
    )


def summary(model: ModelSpec, train: TrainSpec, history: History) -> dict[str, str]:
    """What was trained, how, and how long it took."""
    tasks = ", ".join(f"{task.name} ({task.kind})" for task in model.tasks[:NAMED])
    more = len(model.tasks) - NAMED
    inputs = [f"{model.numeric} numeric"] * bool(model.numeric)
    inputs += [f"{len(model.categorical)} categorical"] * bool(model.categorical)
    steps, epochs, length = len(history.step_loss), len(history.epochs), steps_per_epoch(history)
    seconds = sum(entry["seconds"] for entry in history.epochs)
    found = {
        "Tasks": tasks + (f" and {more} more" if more > 0 else ""),
        "Inputs": ", ".join(inputs),
        "Network": f"trunk {'-'.join(map(str, model.trunk))}, {parameter_count(model):,} parameters",
        "Optimizer": f"{train.optimizer.kind}, learning rate {train.optimizer.learning_rate:g}, "
        f"{train.schedule.kind} schedule",
        "Balancing": train.balancing.kind,
        "Execution": f"{history.execution} on {history.device}, {train.precision}",
        "Steps": f"{steps:,} of up to {train.batch_size:,} rows" + (f", {length:,} an epoch" if length else ""),
        "Epochs": f"{epochs} of {train.epochs}" + (f", the best {history.best_epoch}" if history.best_epoch else ""),
        "Time": str(timedelta(seconds=round(seconds))) if seconds >= 60 else f"{seconds:.1f} s",
    }
    if epochs:
        found["Loss"] = f"{number(history.epochs[-1]['loss'])} over the last epoch"
    return found


def metric_rows(history: History, rows: list[Rows]) -> Iterator[MetricRow]:
    """Each task's metrics: at the last epoch, at the best, and of the rows that were evaluated."""
    entries = [entry for entry in history.epochs if "metrics" in entry]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)  # the table shows a dash
        evaluated = {row.task.name: evaluate_rows(row.task, row.label, row.predicted, row.weight) for row in rows}
    known = entries[-1]["metrics"] if entries else evaluated
    for task, own in known.items():
        for name in own:
            values = [entry["metrics"][task][name] for entry in entries]
            best = best_epoch(history, name, [entry["epoch"] for entry in entries], values)
            yield MetricRow(
                task=task,
                metric=name,
                last=number(values[-1]) if values else "",
                best=f"{number(values[best])} (epoch {entries[best]['epoch']})" if best is not None else "–",
                evaluated=number(evaluated[task][name]) if task in evaluated else "–",
            )


def best_epoch(history: History, metric: str, epochs: list[int], values: list[float]) -> int | None:
    """The index of the epoch that early stopping chose; without it, of the metric's own best."""
    if history.best_epoch in epochs:
        return epochs.index(history.best_epoch)
    if not np.isfinite(values).any():
        return None
    return int(np.nanargmax(values) if METRICS[metric] else np.nanargmin(values))


def layer_table(model: ModelSpec) -> list[tuple[str, str, int]]:
    """Each layer or table, in network order: its name, the shape of its kernel, and its number of parameters."""
    found: dict[str, tuple[str, int]] = {}
    for name, shape in parameter_shapes(model).items():
        layer = name.rsplit(".norm.", 1)[0].removesuffix(".kernel").removesuffix(".bias")
        kernel, count = found.get(layer, (" × ".join(map(str, shape)), 0))
        found[layer] = kernel, count + math.prod(shape)
    return [(layer, kernel, count) for layer, (kernel, count) in found.items()]


def environment_table(machine: Machine) -> dict[str, str]:
    """The machine in words."""
    memory = f", {machine.memory_bytes / 2**30:.0f} GiB of memory" if machine.memory_bytes else ""
    return machine.versions | {
        "system": machine.system,
        "processor": f"{machine.processor}, {machine.cores} cores{memory}",
    }


def number(value: float) -> str:
    """Five digits; a dash for what is not defined."""
    return f"{value:.5g}" if math.isfinite(value) else "–"
