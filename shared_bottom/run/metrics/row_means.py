"""The metrics that follow from a mean over the rows, of a number or of several; most means are scikit-learn's."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    top_k_accuracy_score,
)

from shared_bottom.run.metrics.loss_formulas import FORMULAS
from shared_bottom.run.metrics.rows import NOT_DEFINED, Rows

CALIBRATION_BINS = 15
"""Bins of equal width of calibration_error."""


class Average(NamedTuple):
    """A metric that follows from a weighted mean over the rows."""

    mean: Callable[[Rows, float], float | np.ndarray]
    """The mean of some rows. The number is that behind the metric's @."""
    value: Callable[[Any], float] = float
    """From the mean of all rows to the metric."""
    undefined: str = ""
    """Why the metric may be NaN."""


def calibration(rows: Rows, _: float) -> np.ndarray:
    """Of each bin of predictions, (lower, upper], the label less the prediction, by the share of its weight in all.

    The expected calibration error of the probability of a 1: Naeini, Cooper & Hauskrecht, AAAI 2015; Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017, eq. 3.
    """
    edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    bins = np.digitize(rows.prediction, edges, right=True)
    weight = np.ones(len(bins)) if rows.shares is None else rows.shares
    return np.bincount(bins, weight * (rows.label - rows.prediction), CALIBRATION_BINS) / weight.sum()


def top(rows: Rows, count: float) -> float | np.ndarray:
    """The share of rows whose class is among the `count` likeliest."""
    if count == 1:
        return AVERAGES["accuracy"].mean(rows, count)  # scikit-learn has no top of two classes
    classes = range(rows.task.outputs)
    return top_k_accuracy_score(rows.label, rows.prediction, k=int(count), labels=classes, sample_weight=rows.shares)


def class_shares(rows: Rows, _: float) -> np.ndarray:
    """The shares (3, classes) of rows that are of a class and predicted to be; that are; that are predicted to be."""
    label, likeliest = rows.label.astype(np.int64), rows.prediction.argmax(axis=1)
    weight = np.ones(len(label)) if rows.shares is None else rows.shares
    right = label == likeliest
    chosen = ((label[right], weight[right]), (label, weight), (likeliest, weight))
    return np.stack([np.bincount(classes, w, rows.task.outputs) for classes, w in chosen]) / weight.sum()


def macro_f1(shares: np.ndarray) -> float:
    """The mean of the classes' F1 = 2·right / (labels + predictions), as in scikit-learn of the classes that occur."""
    right, labels, predictions = shares[:, shares[1] + shares[2] > 0]
    return float((2.0 * right / (labels + predictions)).mean())


def relative_errors(rows: Rows, _: float) -> np.ndarray:
    """(2, outputs): the mean of |error / label|, with 0 where the label is 0, and the share of labels other than 0."""
    there = rows.label != 0
    relative = np.abs(rows.prediction - rows.label)[there] / np.abs(rows.label[there].astype(np.float64))
    errors = np.zeros(rows.label.shape)
    errors[there] = relative
    return np.average(np.stack([errors, there]), axis=1, weights=rows.shares)


def mape(errors: np.ndarray) -> float:
    """The mean of |error / label| over the labels other than 0, mean over the outputs; NaN if an output has none."""
    return float((errors[0] / errors[1]).mean()) if errors[1].all() else NOT_DEFINED


def pinball(rows: Rows, _: float) -> float:
    """The mean over the levels of the pinball loss."""
    return pinball_loss(rows.label, rows.prediction, rows.task.objective.quantiles, rows.shares)


def pinball_loss(label: np.ndarray, predicted: np.ndarray, levels: Sequence[float], weight: np.ndarray | None) -> float:
    """The mean over the levels of the pinball loss of labels (n, 1) and quantiles (n, levels)."""
    by_level = zip(levels, predicted.T, strict=True)
    return float(
        np.mean([mean_pinball_loss(label[:, 0], z, alpha=level, sample_weight=weight) for level, z in by_level])
    )


def coverage(rows: Rows) -> np.ndarray:
    """Of each level, the share of labels at or below the predicted quantile: (levels,)."""
    return np.average(rows.label <= rows.prediction, axis=0, weights=rows.shares)


def loss(rows: Rows, _: float) -> float:
    """The mean training loss. It is NaN or infinite if a prediction is."""
    objective = rows.task.objective
    parts = [part.astype(np.float64) for part in rows.parts]
    with np.errstate(all="ignore"):
        of_rows = FORMULAS[objective.kind](objective, rows.label.astype(np.float64), rows.prediction, parts)
    return float(np.average(of_rows, weights=rows.shares))


AVERAGES: dict[str, Average] = {
    "accuracy": Average(lambda r, _: accuracy_score(r.label, r.prediction.argmax(axis=1), sample_weight=r.shares)),
    "top": Average(top),
    "macro_f1": Average(class_shares, macro_f1),
    "log_loss": Average(
        lambda r, _: log_loss(r.label, r.prediction, sample_weight=r.shares, labels=range(max(r.task.outputs, 2)))
    ),
    "brier": Average(lambda r, _: mean_squared_error(r.label, r.prediction, sample_weight=r.shares)),
    "calibration_error": Average(calibration, lambda errors: float(np.abs(errors).sum())),
    "rmse": Average(
        lambda r, _: mean_squared_error(r.label, r.prediction, sample_weight=r.shares), lambda mean: float(mean**0.5)
    ),
    "mae": Average(lambda r, _: mean_absolute_error(r.label, r.prediction, sample_weight=r.shares)),
    "mape": Average(relative_errors, mape, "all labels of an output are 0"),
    "pinball": Average(pinball),
    "coverage": Average(lambda r, level: coverage(r)[r.task.objective.quantiles.index(level)]),
    "coverage_error": Average(
        lambda r, _: coverage(r) - r.task.objective.quantiles, lambda gaps: float(np.abs(gaps).mean())
    ),
    "loss": Average(loss, lambda mean: float(mean) if np.isfinite(mean) else NOT_DEFINED, "a prediction is not finite"),
}
