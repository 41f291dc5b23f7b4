"""From the heads' outputs to the tasks' predictions, in NumPy: see `spec.losses.Link`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, logsumexp, softmax

from spec.losses import SCALE_FLOOR, Link
from spec.model import ModelSpec
from spec.params import Params
from spec.tasks import given_first


def lognormal_parts(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The p, μ and σ of a zero-inflated lognormal distribution (rows,) of its head's outputs (rows, 3)."""
    logit, location, scale = outputs.T
    return expit(logit), location, np.maximum(np.logaddexp(scale, 0.0, dtype=scale.dtype), SCALE_FLOOR)


def lognormal_mean(outputs: np.ndarray) -> np.ndarray:
    """The mean of that distribution (rows, 1)."""
    _, location, scale = lognormal_parts(outputs)
    with np.errstate(over="ignore"):  # a mean that is too large is infinite, as it is in the frameworks
        return np.exp(log_expit(outputs[:, 0]) + location + scale**2 / 2.0)[:, None]


def exponential(logs: np.ndarray) -> np.ndarray:
    """The mean by its log, (rows, outputs) both."""
    with np.errstate(over="ignore"):
        return np.exp(logs)


LINKS: dict[Link, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda outputs: outputs,
    "sigmoid": lambda logits: expit(logits[:, 0]),
    "softmax": lambda logits: softmax(logits, axis=1),
    "exponential": exponential,
    "zero_inflated_lognormal": lognormal_mean,
}
"""From a head's outputs (rows, outputs) to the task's predictions."""


def predictions(model: ModelSpec, outputs: Mapping[str, np.ndarray]) -> Params:
    """The predictions of the rows, as `spec.Backend.predict` gives them.

    outputs: what the heads give, by task (rows, outputs).
    """
    logits = unconditional(model, outputs)
    predicted: Params = {}
    for task in model.tasks:
        link = task.objective.link
        predicted[task.name] = LINKS[link](logits[task.name])
        parts: tuple[np.ndarray, ...] = ()
        if task.given:
            parts = (LINKS[link](outputs[task.name]),)
        elif link == "zero_inflated_lognormal":
            parts = lognormal_parts(outputs[task.name])
        predicted |= dict(zip(task.parts, parts, strict=True))
    return predicted


def unconditional(model: ModelSpec, outputs: Mapping[str, np.ndarray]) -> Params:
    """The heads' outputs, of tasks that are given another the logit of the product, as training takes it."""
    logits = dict(outputs)
    for task in given_first(model.tasks):
        if task.given:
            a, b = logits[task.given], logits[task.name]
            logits[task.name] = -logsumexp(np.stack([-a, -b, -a - b]), axis=0)
    return logits


def multiplied(
    model: ModelSpec,
    outputs: Mapping[str, Any],
    links: Mapping[Link, Callable[[Any], Any]],
    parts_of: Callable[[Any], tuple[Any, ...]],
) -> dict[str, Any]:
    """The predictions as `predictions` gives them, in a framework's arrays, for what is exported: the probability of a
    task that is given another is a product.

    links: as LINKS, in the framework. parts_of: as `lognormal_parts`.
    """
    predicted: dict[str, Any] = {}
    for task in given_first(model.tasks):
        link = task.objective.link
        predicted[task.name] = alone = links[link](outputs[task.name])
        parts: tuple[Any, ...] = ()
        if task.given:
            predicted[task.name], parts = predicted[task.given] * alone, (alone,)
        elif link == "zero_inflated_lognormal":
            parts = parts_of(outputs[task.name])
        predicted |= dict(zip(task.parts, parts, strict=True))
    return predicted
