"""What early stopping watches: one number an epoch, made of the validation rows' metrics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from shared_bottom.run.metrics import counted_labels
from shared_bottom.run.metrics.averages import WeightedVariance, scaled
from shared_bottom.run.metrics.row_means import pinball_loss
from spec.data import PIECE_ROWS, Dataset
from spec.metrics import higher_is_better
from spec.model import ModelSpec
from spec.tasks import TaskSpec
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
    higher = not total if metric is None else higher_is_better(metric)
    if higher is None:
        raise ValueError(
            f"early_stopping.metric: expected one of which a higher or a lower value is better, got {metric!r}"
        )
    return Watched(chosen, metric, total, higher)


class Monitor:
    """Reads the watched value off an epoch's metrics, and knows which of two values is better.

    loss          Σ_t weight_t · loss_t over the validation rows, with the losses that training minimizes: such as
                  log_loss, or rmse² of a regression task; a task without a label adds 0, as it does in training
    mean          the mean over the tasks of one metric that all have; or of their main metrics, auc and accuracy, and
                  of what regression explains: R² = 1 - rmse² / variance of the labels (the mean over the outputs in
                  both), or of quantiles 1 - pinball / that of the labels' own quantiles (the mean over the levels in
                  both: Koenker & Machado, "Goodness of Fit and Related Inference Processes for Quantile Regression",
                  JASA 1999, eq. 7). Each rises to 1 as the task is learned, and none has a unit
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
        scored = self._tasks if self._metric is None and not self._total else []
        self._constant = {
            task.name: _constant_loss(task, validation) for task in scored if task.traits.label == "number"
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
        main = metrics[task.metrics[0]]
        if task.name in self._constant:
            loss, constant = main if task.objective.quantiles else main**2, self._constant[task.name]
            return 1.0 - loss / constant if constant else float("nan")
        return main


def _constant_loss(task: TaskSpec, data: Dataset) -> float:
    """The least loss of predictions that are the same for all rows: the labels' weighted variance, mean over the
    outputs; or of quantiles the pinball loss of the labels' weighted quantiles.
    """
    if levels := task.objective.quantiles:
        labels, weights = zip(*_labels(task, data), strict=True)
        label = np.concatenate(labels)
        weight = scaled(np.concatenate(weights), len(label))[0]
        constants = np.quantile(label[:, 0], levels, method="inverted_cdf", weights=weight)
        return pinball_loss(label, np.broadcast_to(constants, (len(label), len(levels))), levels, weight)
    variance = WeightedVariance()
    for label, weight in _labels(task, data):
        variance.add(label, *scaled(weight, len(label)))
    return float(np.mean(variance.value))


def _labels(task: TaskSpec, data: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The labels (n, …) that count, some rows at a time, and their weights (n,)."""
    for rows in data.pieces(PIECE_ROWS):
        label, weight = counted_labels(task, rows)
        if len(label):
            yield label.astype(np.float64), np.ones(len(label)) if weight is None else weight
