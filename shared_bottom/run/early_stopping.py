"""What early stopping watches: one number an epoch, made of the validation rows' metrics."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from shared_bottom.run.metrics import WeightedMean, counted_labels, scaled
from spec.data import PIECE_ROWS, Dataset
from spec.model import ModelSpec, TaskSpec
from spec.tasks import HIGHER_IS_BETTER
from spec.training import EarlyStopping, TrainSpec

Metrics = Mapping[str, Mapping[str, float]]


class Watched(NamedTuple):
    """What `stopping` asks for, as far as the network tells."""

    tasks: list[TaskSpec]
    metric: str | None
    """The metric of each task; None for the total loss, and for the mean of the main metrics."""
    total: bool
    """Whether it is the total loss."""
    higher: bool
    """Whether a higher value is better."""


def check_stopping(train: TrainSpec, tasks: Sequence[TaskSpec], *, validation: bool) -> None:
    """Check what can be known of early stopping before a row is read.

    validation: whether there are validation rows.

    Raises ValueError if early stopping has no rows to watch, and as `watched` does.
    """
    if train.early_stopping is None:
        return
    if not validation:
        raise ValueError("early_stopping: expected validation rows to watch, got none")
    watched(tasks, train.early_stopping)


def watched(tasks_of_model: Sequence[TaskSpec], stopping: EarlyStopping) -> Watched:
    """What early stopping watches. Raises ValueError for a name that the model does not have."""
    tasks = {task.name: task for task in tasks_of_model}
    if stopping.monitor not in (*tasks, "mean", "loss"):
        raise ValueError(
            f"early_stopping.monitor: expected one of {', '.join((*tasks, 'mean', 'loss'))}, got {stopping.monitor!r}"
        )
    chosen = [tasks[stopping.monitor]] if stopping.monitor in tasks else list(tasks.values())
    total = stopping.monitor == "loss" and "loss" not in tasks
    shared = [name for name in chosen[0].metrics if all(name in task.metrics for task in chosen)]
    metric = stopping.metric
    if metric is not None and (total or metric not in shared):
        expected = "none" if total or not shared else f"one of {', '.join(shared)}"
        raise ValueError(
            f"early_stopping.metric: expected {expected} with monitor {stopping.monitor!r}, got {metric!r}"
        )
    if stopping.monitor in tasks and metric is None:
        metric = chosen[0].metrics[0]
    return Watched(chosen, metric, total, not total if metric is None else HIGHER_IS_BETTER[metric])


class Monitor:
    """Reads the watched value off an epoch's metrics, and knows which of two values is better.

    loss          Σ_t weight_t · loss_t over the validation rows, which is log_loss, or rmse² of a regression task; a
                  task without a label adds 0, as it does in training
    mean          the mean over the tasks of one metric that all have; or of their main metrics, auc, accuracy and, for
                  regression, R² = 1 - rmse² / variance of the labels (the mean over the outputs in both): each rises
                  to 1 as the task is learned, and none has a unit
    a task's name one of its metrics
    """

    def __init__(self, model: ModelSpec, stopping: EarlyStopping, validation: Dataset) -> None:
        """Raises ValueError as `watched` does, and for rows that cannot give the value."""
        self.patience = stopping.patience
        self._tasks, self._metric, self._total, self.higher = watched(model.tasks, stopping)
        empty = [task.name for task in self._tasks if not any(True for _ in _labels(task, validation))]
        if self._total:
            self._tasks = [task for task in self._tasks if task.name not in empty]
        elif empty:
            raise ValueError(f"early_stopping: expected a label of task {empty[0]!r} in a validation row, got none")
        self._variance = {
            task.name: _variance(task, validation) for task in self._tasks if task.traits.label == "number"
        }

    def value(self, metrics: Metrics) -> float:
        """The epoch's value; NaN if a metric that it is made of is."""
        if self._total:
            return sum(task.weight * self._loss(task, metrics[task.name]) for task in self._tasks)
        return float(np.mean([self._score(task, metrics[task.name]) for task in self._tasks]))

    def better(self, value: float, best: float | None) -> bool:
        """Whether `value` is strictly better than the best before it; one that is not finite never is."""
        if not np.isfinite(value):
            return False
        return best is None or (value > best if self.higher else value < best)

    def _loss(self, task: TaskSpec, metrics: Mapping[str, float]) -> float:
        return metrics[task.objective.metric] ** task.objective.power

    def _score(self, task: TaskSpec, metrics: Mapping[str, float]) -> float:
        if self._metric is not None:
            return metrics[self._metric]
        if task.name in self._variance:
            variance = self._variance[task.name]
            return 1.0 - metrics["rmse"] ** 2 / variance if variance else float("nan")
        return metrics[task.metrics[0]]


def _variance(task: TaskSpec, data: Dataset) -> float:
    """The weighted variance of the labels (n, outputs) that count, mean over the outputs."""
    mean, square = WeightedMean(), WeightedMean()
    for label, weight, total in _labels(task, data):
        mean.add(np.average(label, axis=0, weights=weight), total)
    for label, weight, total in _labels(task, data):
        square.add(np.average((label - mean.value) ** 2, axis=0, weights=weight), total)
    return float(np.mean(square.value))


def _labels(task: TaskSpec, data: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray | None, Fraction]]:
    """The labels that count, some rows at a time, with their weights and the sum of these, as `scaled` gives them."""
    for rows in data.pieces(PIECE_ROWS):
        label, weight = counted_labels(task, rows)
        if len(label):
            yield label.astype(np.float64), *scaled(weight, len(label))
