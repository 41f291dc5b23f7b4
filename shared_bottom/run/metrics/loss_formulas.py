"""The formulas of `spec.losses` in NumPy, of predictions instead of a head's outputs, for the losses whose mean over a
set of rows no other metric says. Probabilities are kept off 0 and 1 as scikit-learn's log_loss does it.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import xlogy

from spec.losses import CrossEntropy, Huber, LogLoss, Poisson, ZeroInflatedLognormal

EPSILON = float(np.finfo(np.float64).eps)

Parts = Sequence[np.ndarray]
"""What a prediction is made of, (rows,) each: see `spec.tasks.TaskSpec.parts`."""


def log_loss(loss: LogLoss, label: np.ndarray, p: np.ndarray, parts: Parts = ()) -> np.ndarray:
    """Of `spec.losses.LogLoss`: labels and probabilities (rows,)."""
    p = np.clip(p, EPSILON, 1.0 - EPSILON)
    label = label * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2.0
    of_positive = loss.positive_weight * label * (1.0 - p) ** loss.focal_gamma * np.log(p)
    return -of_positive - (1.0 - label) * p**loss.focal_gamma * np.log1p(-p)


def cross_entropy(loss: CrossEntropy, label: np.ndarray, p: np.ndarray, parts: Parts = ()) -> np.ndarray:
    """Of `spec.losses.CrossEntropy`: classes (rows,), probabilities (rows, classes)."""
    classes = p.shape[1]
    weighted = np.array(loss.class_weights or (1.0,) * classes) * -np.log(np.clip(p, EPSILON, 1.0 - EPSILON))
    chosen = np.take_along_axis(weighted, label[:, None].astype(np.int64), axis=1)[:, 0]
    return (1.0 - loss.label_smoothing) * chosen + loss.label_smoothing / classes * weighted.sum(axis=1)


def huber(loss: Huber, label: np.ndarray, predicted: np.ndarray, parts: Parts = ()) -> np.ndarray:
    """Of `spec.losses.Huber`: both (rows, outputs)."""
    error = np.abs(predicted - label)
    near = np.minimum(error, loss.delta)
    return (near * (error - near / 2.0)).mean(axis=1)


def poisson(loss: Poisson, label: np.ndarray, mean: np.ndarray, parts: Parts = ()) -> np.ndarray:
    """Of `spec.losses.Poisson`: both (rows, outputs). A mean of 0 counts as the smallest number above."""
    return (mean - xlogy(label, np.maximum(mean, np.finfo(np.float64).tiny))).mean(axis=1)


def zero_inflated_lognormal(
    loss: ZeroInflatedLognormal, label: np.ndarray, mean: np.ndarray, parts: Parts
) -> np.ndarray:
    """Of `spec.losses.ZeroInflatedLognormal`: labels (rows, 1); parts: p, μ and σ."""
    p, location, scale = parts
    amount = label[:, 0]
    log_amount = np.log(np.where(amount > 0, amount, 1.0))
    density = log_amount + np.log(scale) + math.log(2.0 * math.pi) / 2.0 + ((log_amount - location) / scale) ** 2 / 2.0
    return log_loss(LogLoss(), (amount > 0).astype(np.float64), p) + np.where(amount > 0, density, 0.0)


FORMULAS: dict[str, Callable[..., np.ndarray]] = {
    "log_loss": log_loss,
    "cross_entropy": cross_entropy,
    "huber": huber,
    "poisson": poisson,
    "zero_inflated_lognormal": zero_inflated_lognormal,
}
"""By the kind of the loss: from the loss, labels, predictions and their parts, as float64, to ℓ of each row (rows,)."""
