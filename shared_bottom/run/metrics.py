"""Each task's metrics, by scikit-learn, on the rows that have its label and weighted by the rows' weights.

Which metrics a kind of task has, and which direction is better, stands in `spec.tasks`.
"""

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error, roc_auc_score

from spec.data import Dataset, label_present, label_shape
from spec.model import ModelSpec, TaskSpec

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]

METRIC_FUNCTIONS: dict[str, Metric] = {
    "auc": lambda label, p, weight: roc_auc_score(label, p, sample_weight=weight),
    "accuracy": lambda label, p, weight: accuracy_score(label, p.argmax(axis=1), sample_weight=weight),
    "log_loss": lambda label, p, weight: log_loss(label, p, sample_weight=weight, labels=_classes(p)),
    "rmse": lambda label, y, weight: mean_squared_error(label, y, sample_weight=weight) ** 0.5,
    "mae": lambda label, y, weight: mean_absolute_error(label, y, sample_weight=weight),
}
"""By name: from labels, predictions and the rows' weights."""


def _classes(probabilities: np.ndarray) -> range:
    return range(2 if probabilities.ndim == 1 else probabilities.shape[1])


class UndefinedMetricWarning(UserWarning):
    """A metric has no value on these rows: it is NaN."""


def evaluate(model: ModelSpec, predictions: dict[str, np.ndarray], data: Dataset) -> dict[str, dict[str, float]]:
    """By task and metric. One that is not defined (no label, an AUC of one class) is NaN, with a warning."""
    return {
        task.name: evaluate_rows(task, label, predictions[task.name][counted(task, data)], weight)
        for task in model.tasks
        for label, weight in [counted_labels(task, data)]
    }


def counted(task: TaskSpec, data: Dataset) -> np.ndarray:
    """Which rows the task's metrics count, those with a label and a weight: bool (N,)."""
    present, weight = label_present(data.labels[task.name], task), data.weight(task.name)
    return present if weight is None else present & (weight > 0)


def counted_labels(task: TaskSpec, data: Dataset) -> tuple[np.ndarray, np.ndarray | None]:
    """The labels (n,), or (n, outputs) if each output has one, of the n rows that count; their weights (n,) if any."""
    counts, weight = counted(task, data), data.weight(task.name)
    label = np.ma.getdata(data.labels[task.name]).reshape(label_shape(task, data.rows))
    return label[counts], None if weight is None else weight[counts]


def evaluate_rows(
    task: TaskSpec, label: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None
) -> dict[str, float]:
    """One task's metrics of the n rows that count, as `counted_labels` gives them, from their predictions (n, …)."""
    predicted = predicted.astype(np.float64)
    if weight is not None and len(weight):  # over a power of two, which changes no metric, so that no sum overflows
        weight = np.ldexp(weight.astype(np.float64), -np.frexp(weight.max())[1])
    if task.traits.link == "softmax":  # float32 probabilities add up to 1 but for their rounding
        predicted = predicted / predicted.sum(axis=1, keepdims=True)
    values = {}
    for name in task.metrics:
        reason = _undefined(name, label, predicted)
        values[name] = float("nan") if reason else float(METRIC_FUNCTIONS[name](label, predicted, weight))
        if reason:
            warnings.warn(f"metric {task.name}.{name} is not defined: {reason}", UndefinedMetricWarning, stacklevel=4)
    return values


def _undefined(metric: str, label: np.ndarray, predicted: np.ndarray) -> str | None:
    if len(label) == 0:
        return "no row has a label and a weight"
    if not np.isfinite(predicted).all():
        return "a prediction is not finite"
    if metric == "auc" and len(np.unique(label)) < 2:
        return f"all {len(label)} labels are {label[0]:g}"
    return None
