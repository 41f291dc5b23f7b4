"""Each task's metrics, on the rows that have its label and weighted by the rows' weights.

Rows are evaluated a piece at a time: see `shared_bottom.run.metrics.functions`. Which metrics a task has, and which
direction is better, stands in `spec.tasks` and `spec.metrics`.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from backends.predictor import PREDICT_ROWS
from shared_bottom.run.metrics.functions import metric_of
from shared_bottom.run.metrics.rows import NOT_DEFINED, Result, Rows
from spec.backend import Backend
from spec.data import Dataset, label_present, label_shape
from spec.model import ModelSpec
from spec.params import Params
from spec.tasks import TaskSpec
from spec.training import Device

PREDICTED = 2**20
"""Numbers that are predicted before they are evaluated."""

Restore = Callable[[str, np.ndarray], np.ndarray]
"""Labels or predictions of a task, by its name, in another unit."""


class UndefinedMetricWarning(UserWarning):
    """A metric has no value on these rows, and is NaN; or none on some groups of them, which it leaves out."""


class TaskMetrics:
    """One task's metrics, of rows that come a piece at a time."""

    def __init__(self, task: TaskSpec, names: Sequence[str]) -> None:
        """names: those of the metrics, each of which the task has."""
        self.rows = 0
        """Rows that count."""
        self._task, self._finite = task, True
        self._metrics = {name: metric_of(name) for name in names}

    def add(self, rows: Rows, restore: Restore | None = None) -> None:
        """Take rows that count into account.

        restore: changes the unit of labels and predictions, except for the loss, which is in the unit that the network
        learns.
        """
        self.rows += len(rows.label)
        if not len(rows.label):
            return
        shown = rows
        if restore is not None:
            label, predicted = (restore(self._task.name, values) for values in (rows.label, rows.predicted))
            shown = replace(rows, label=label, predicted=predicted)
        self._finite &= bool(np.isfinite(shown.predicted).all())
        for name, metric in self._metrics.items():
            if name == "loss":
                metric.add(rows)
            elif self._finite:
                metric.add(shown)

    def values(self) -> dict[str, float]:
        """By name. One that is not defined (no label, an AUC of one class) is NaN, with a warning; another warning says
        which groups are left out.
        """
        values = {}
        for name in self._metrics:
            values[name], remark = self._result(name)
            if remark:
                metric = f"metric {self._task.name}.{name}"
                said = f"{metric} is not defined: {remark}" if math.isnan(values[name]) else f"{metric}: {remark}"
                warnings.warn(said, UndefinedMetricWarning, stacklevel=4)
        return values

    def _result(self, name: str) -> Result:
        if not self.rows:
            return Result(NOT_DEFINED, "no row has a label and a weight")
        if not self._finite and name != "loss":
            return Result(NOT_DEFINED, "a prediction is not finite")
        return self._metrics[name].result()


class Evaluation:
    """All tasks' metrics, and how many rows they are of."""

    def __init__(
        self, model: ModelSpec, pieces: Iterable[tuple[Dataset, Params]], restore: Restore | None = None
    ) -> None:
        """pieces: rows with labels, a piece at a time, and what `spec.Backend.predict` gives for them.

        restore: as for `TaskMetrics.add`.
        """
        self.rows = 0
        self.labelled = Counter[str]()
        """Rows that have a label, by task."""
        self.tasks = {task.name: TaskMetrics(task, task.metrics) for task in model.tasks}
        for data, predictions in pieces:
            self.rows += data.rows
            for task in model.tasks:
                self.labelled[task.name] += int(label_present(data.labels[task.name], task).sum())
                self.tasks[task.name].add(counted_rows(task, data, predictions), restore)

    def metrics(self) -> dict[str, dict[str, float]]:
        """By task and metric; NaN and warnings are as in `TaskMetrics.values`."""
        return {name: task.values() for name, task in self.tasks.items()}


def evaluate(model: ModelSpec, predictions: dict[str, np.ndarray], data: Dataset) -> dict[str, dict[str, float]]:
    """The metrics of all rows at once: see `Evaluation.metrics`."""
    return Evaluation(model, [(data, predictions)]).metrics()


def predicted(
    backend: Backend, model: ModelSpec, params: Params, data: Dataset, device: Device, threads: int | None
) -> Iterator[tuple[Dataset, Params]]:
    """The rows of a data set, a piece at a time, and the network's predictions for them.

    The pieces are about equally long, because a backend may compile for each number of rows that it meets.
    """
    most = max(PREDICT_ROWS, PREDICTED // sum(task.head_outputs for task in model.tasks))
    predictor = backend.predictor(model, params, device=device, threads=threads)
    for rows in data.pieces(math.ceil(data.rows / math.ceil(data.rows / most))):
        yield rows, predictor.predict(rows)


def counted(task: TaskSpec, data: Dataset) -> np.ndarray:
    """Which rows the task's metrics count, those with a label and a weight: bool (N,)."""
    present, weight = label_present(data.labels[task.name], task), data.weight(task.name)
    return present if weight is None else present & (weight > 0)


def counted_labels(task: TaskSpec, data: Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """The labels (n,), or (n, outputs) if each output has one, of the n rows that count; their weights (n,) if any."""
    counts, weight = counted(task, data), data.weight(task.name)
    label = np.ma.getdata(data.labels[task.name]).reshape(label_shape(task, data.rows))
    return label[counts], None if weight is None else weight[counts]


def counted_rows(task: TaskSpec, data: Dataset, predictions: Params) -> Rows:
    """The rows that count, with what `spec.Backend.predict` gives for all rows of `data`."""
    counts, (label, weight) = counted(task, data), counted_labels(task, data)
    parts = task.parts if task.given is None else ()  # the loss of a task that is given another is that of the product
    return Rows(
        task=task,
        label=label,
        predicted=predictions[task.name][counts],
        weight=weight,
        parts=tuple(predictions[part][counts] for part in parts),
        group=None if data.group is None else data.group[counts],
    )
