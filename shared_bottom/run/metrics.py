"""Each task's metrics, by scikit-learn, on the rows that have its label and weighted by the rows' weights.

Rows are evaluated a piece at a time. Most metrics are a mean over the rows: of each piece only the mean and the weight
are kept. The AUC compares each row with all others: of its task the predictions are kept, beside labels and weights.
Which metrics a kind of task has, and which direction is better, stands in `spec.tasks`.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error, roc_auc_score

from backends.base import PREDICT_ROWS
from spec.backend import Backend
from spec.data import Dataset, label_present, label_shape
from spec.model import ModelSpec, TaskSpec
from spec.params import Params
from spec.training import Device

PREDICTED = 2**20
"""Numbers that are predicted before they are evaluated."""


class Metric(NamedTuple):
    """How a metric is computed from labels, predictions and the rows' weights."""

    function: Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]
    root: int = 1
    """The metric is this root of the function."""
    mean: bool = True
    """Whether the function is a mean over the rows, so that it can be computed piece by piece."""


METRICS: dict[str, Metric] = {
    "auc": Metric(lambda label, p, weight: roc_auc_score(label, p, sample_weight=weight), mean=False),
    "accuracy": Metric(lambda label, p, weight: accuracy_score(label, p.argmax(axis=1), sample_weight=weight)),
    "log_loss": Metric(lambda label, p, weight: log_loss(label, p, sample_weight=weight, labels=_classes(p))),
    "rmse": Metric(lambda label, y, weight: mean_squared_error(label, y, sample_weight=weight), root=2),
    "mae": Metric(lambda label, y, weight: mean_absolute_error(label, y, sample_weight=weight)),
}


def _classes(probabilities: np.ndarray) -> range:
    return range(2 if probabilities.ndim == 1 else probabilities.shape[1])


class UndefinedMetricWarning(UserWarning):
    """A metric has no value on these rows: it is NaN."""


class WeightedMean:
    """The weighted mean of rows that come a piece at a time: of numbers, or of arrays of one shape."""

    def __init__(self) -> None:
        self.value: float | np.ndarray = 0.0
        self._weight = Fraction(0)

    def add(self, mean: float | np.ndarray, weight: Fraction) -> None:
        """Take a piece's mean into account, and the sum of its weights."""
        self._weight += weight
        share = float(weight / self._weight)
        self.value = self.value * (1.0 - share) + mean * share


def scaled(weight: np.ndarray | None, rows: int) -> tuple[np.ndarray | None, Fraction]:
    """The rows' weights over a power of two, which changes no mean, so that no sum overflows; and their exact sum."""
    if weight is None:
        return None, Fraction(rows)
    exponent = int(np.frexp(weight.max())[1])
    weight = np.ldexp(weight.astype(np.float64), -exponent)
    return weight, Fraction(float(weight.sum())) * Fraction(2) ** exponent


class TaskMetrics:
    """One task's metrics, of rows that come a piece at a time."""

    def __init__(self, task: TaskSpec) -> None:
        self.rows = 0
        """Rows that count."""
        self._task, self._finite = task, True
        self._means = {name: WeightedMean() for name in task.metrics if METRICS[name].mean}
        self._kept: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []

    def add(self, label: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None) -> None:
        """Take rows that count into account, as `counted_labels` gives them, with their predictions (n, …)."""
        self.rows += len(label)
        self._finite &= bool(np.isfinite(predicted).all())
        if not len(label) or not self._finite:
            return
        if len(self._means) < len(self._task.metrics):
            self._kept.append((label, predicted, weight))
        predicted = predicted.astype(np.float64)
        if self._task.objective.link == "softmax":  # float32 probabilities add up to 1 but for their rounding
            predicted = predicted / predicted.sum(axis=1, keepdims=True)
        weight, total = scaled(weight, len(label))
        for name, mean in self._means.items():
            mean.add(METRICS[name].function(label, predicted, weight), total)

    def values(self) -> dict[str, float]:
        """By name. One that is not defined (no label, an AUC of one class) is NaN, with a warning."""
        values = {}
        for name in self._task.metrics:
            reason = self._undefined(name)
            values[name] = float("nan") if reason else float(self._value(name))
            if reason:
                message = f"metric {self._task.name}.{name} is not defined: {reason}"
                warnings.warn(message, UndefinedMetricWarning, stacklevel=4)
        return values

    def _undefined(self, metric: str) -> str | None:
        if not self.rows:
            return "no row has a label and a weight"
        if not self._finite:
            return "a prediction is not finite"
        if metric == "auc":
            first = self._kept[0][0][0]
            if all((label == first).all() for label, *_ in self._kept):
                return f"all {self.rows} labels are {first:g}"
        return None

    def _value(self, name: str) -> Any:
        metric = METRICS[name]
        if metric.mean:
            return self._means[name].value ** (1 / metric.root)
        labels, predictions, weights = zip(*self._kept, strict=True)
        weight = None if weights[0] is None else np.concatenate(weights)
        return metric.function(np.concatenate(labels), np.concatenate(predictions), scaled(weight, self.rows)[0])


class Evaluation:
    """All tasks' metrics, and how many rows they are of."""

    def __init__(self, model: ModelSpec, pieces: Iterable[tuple[Dataset, Params]]) -> None:
        """pieces: rows with labels, a piece at a time, and the predictions for them by task."""
        self.rows = 0
        self.labelled = Counter[str]()
        """Rows that have a label, by task."""
        self.tasks = {task.name: TaskMetrics(task) for task in model.tasks}
        for data, predictions in pieces:
            self.rows += data.rows
            for task in model.tasks:
                self.labelled[task.name] += int(label_present(data.labels[task.name], task).sum())
                label, weight = counted_labels(task, data)
                self.tasks[task.name].add(label, predictions[task.name][counted(task, data)], weight)

    def metrics(self) -> dict[str, dict[str, float]]:
        """By task and metric. One that is not defined (no label, an AUC of one class) is NaN, with a warning."""
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
    for rows in data.pieces(math.ceil(data.rows / math.ceil(data.rows / most))):
        yield rows, backend.predict(model, params, rows, device=device, threads=threads)


def counted(task: TaskSpec, data: Dataset) -> np.ndarray:
    """Which rows the task's metrics count, those with a label and a weight: bool (N,)."""
    present, weight = label_present(data.labels[task.name], task), data.weight(task.name)
    return present if weight is None else present & (weight > 0)


def counted_labels(task: TaskSpec, data: Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """The labels (n,), or (n, outputs) if each output has one, of the n rows that count; their weights (n,) if any."""
    counts, weight = counted(task, data), data.weight(task.name)
    label = np.ma.getdata(data.labels[task.name]).reshape(label_shape(task, data.rows))
    return label[counts], None if weight is None else weight[counts]
