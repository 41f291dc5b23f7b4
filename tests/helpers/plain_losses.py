"""The third judge of the losses: ℓ of each row in plain NumPy, written from the formulas of the contract.

They take complex outputs too, so that an imaginary step gives their slope: what is compared is the real part.
"""

import math

import numpy as np

from spec import TaskSpec


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + e^x)."""
    above = x.real > 0
    return np.where(above, x, 0.0) + np.log1p(np.exp(np.where(above, -x, x)))


def log_probabilities(logits: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """log P and log(1 - P) of a product P of probabilities, of which these are the logits."""
    log_p = sum(-softplus(-z) for z in logits)
    if len(logits) == 1:
        return log_p, -softplus(logits[0])
    rest = 0.0  # 1 - p·Q = (1 - p) + p·(1 - Q)
    for z in logits:
        rest = 1 / (1 + np.exp(z)) + rest / (1 + np.exp(-z))
    p = np.exp(log_p)
    small = p.real < 0.5
    return log_p, np.where(small, np.log1p(np.where(small, -p, 0.0)), np.log(rest))


def log_loss(loss, logits: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """logits: the task's own, and those of the tasks that it depends on, each (rows,)."""
    log_p, log_not_p = log_probabilities(logits)
    y = y * (1 - loss.label_smoothing) + loss.label_smoothing / 2
    positive = loss.positive_weight * y * np.exp(loss.focal_gamma * log_not_p) * log_p
    return -(positive + (1 - y) * np.exp(loss.focal_gamma * log_p) * log_not_p)


def cross_entropy(loss, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    z = z - z.real.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    weights, s = np.array(loss.class_weights or [1.0] * z.shape[1]), loss.label_smoothing
    chosen = np.array([weights[c] * row[c] for row, c in zip(log_p, y, strict=True)])
    return -(1 - s) * chosen - s / z.shape[1] * log_p @ weights


def size(x: np.ndarray) -> np.ndarray:
    """|x|; its slope at 0 is 0."""
    return np.sign(x.real) * x


def huber(loss, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    d = size(z - y)
    return np.where(d.real <= loss.delta, d**2 / 2, loss.delta * (d - loss.delta / 2)).mean(axis=1)


def quantile(loss, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    tau, error = np.array(loss.levels), y - z
    return np.where(error.real > 0, tau * error, (tau - 1) * error).mean(axis=1)


def zero_inflated_lognormal(loss, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    sigma, y = softplus(z[:, 2]), y[:, 0]
    sigma = np.where(sigma.real > 1e-3, sigma, 1e-3)
    log_y = np.log(np.where(y > 0, y, 1.0))
    density = log_y + np.log(sigma * math.sqrt(2 * math.pi)) + (log_y - z[:, 1]) ** 2 / (2 * sigma**2)
    return np.where(y > 0, softplus(-z[:, 0]) + density, softplus(z[:, 0]))


LOSSES = {
    "log_loss": log_loss,
    "cross_entropy": cross_entropy,
    "squared": lambda loss, z, y: ((z - y) ** 2).mean(axis=1),
    "absolute": lambda loss, z, y: size(z - y).mean(axis=1),
    "huber": huber,
    "poisson": lambda loss, z, y: (np.exp(z) - y * z).mean(axis=1),
    "quantile": quantile,
    "zero_inflated_lognormal": zero_inflated_lognormal,
}


def of_rows(tasks: dict[str, TaskSpec], task: TaskSpec, outputs: dict[str, np.ndarray], y: np.ndarray) -> np.ndarray:
    """ℓ of each row of a task. tasks: all, by name. outputs: those of the heads, by task."""
    z = outputs[task.name]
    y = y[:, None] if task.kind == "regression" and y.ndim == 1 else y
    if task.kind == "binary":
        z, given = [z[:, 0]], task.given
        while given:
            z, given = [*z, outputs[given][:, 0]], tasks[given].given
    return LOSSES[task.objective.kind](task.objective, z, y)
