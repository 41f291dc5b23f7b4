"""The tasks' losses: the formulas of `spec.losses`, for each row.

Row weights, missing labels and padding are in the rows' shares: see `backends.batches`.
"""

import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Int

from backends.layout import Layout
from spec.losses import (
    SCALE_FLOOR,
    Absolute,
    CrossEntropy,
    Huber,
    LogLoss,
    Poisson,
    Quantile,
    Squared,
    ZeroInflatedLognormal,
)


def log_loss(
    loss: LogLoss, logits: Float[Array, "*members rows 1"], labels: Float[Array, "*members rows"]
) -> Float[Array, "*members rows"]:
    """Log loss of a logit, in a form that does not overflow."""
    logits = logits.squeeze(-1)
    if loss.plain:
        return optax.sigmoid_binary_cross_entropy(logits, labels)
    labels = labels * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2.0
    log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    of_positive = loss.positive_weight * labels * jnp.exp(loss.focal_gamma * log_not_p) * log_p
    return -of_positive - (1.0 - labels) * jnp.exp(loss.focal_gamma * log_p) * log_not_p


def cross_entropy(
    loss: CrossEntropy, logits: Float[Array, "*members rows classes"], labels: Int[Array, "*members rows"]
) -> Float[Array, "*members rows"]:
    """Cross-entropy of the class."""
    if loss.plain:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    classes = logits.shape[-1]
    weights = jnp.array(loss.class_weights or (1.0,) * classes, logits.dtype)
    weighted = weights * -jax.nn.log_softmax(logits, axis=-1)
    chosen = jnp.take_along_axis(weighted, labels[..., None], axis=-1).squeeze(-1)
    return (1.0 - loss.label_smoothing) * chosen + loss.label_smoothing / classes * weighted.sum(-1)


def squared(
    loss: Squared, outputs: Float[Array, "*members rows outputs"], labels: Float[Array, "*members rows outputs"]
) -> Float[Array, "*members rows"]:
    """Squared error, mean over the outputs."""
    return jnp.square(outputs - labels).mean(-1)


def absolute(
    loss: Absolute, outputs: Float[Array, "*members rows outputs"], labels: Float[Array, "*members rows outputs"]
) -> Float[Array, "*members rows"]:
    """Absolute error, mean over the outputs. The slope of `jnp.abs` at 0 would be 1."""
    error = outputs - labels
    return (jnp.sign(error) * error).mean(-1)


def huber(
    loss: Huber, outputs: Float[Array, "*members rows outputs"], labels: Float[Array, "*members rows outputs"]
) -> Float[Array, "*members rows"]:
    """Squared error near 0 and absolute error beyond delta, mean over the outputs."""
    error = jnp.abs(outputs - labels)
    near = jnp.minimum(error, loss.delta)
    return (near * (error - near / 2.0)).mean(-1)


def poisson(
    loss: Poisson, logs: Float[Array, "*members rows outputs"], labels: Float[Array, "*members rows outputs"]
) -> Float[Array, "*members rows"]:
    """Negative log-likelihood of a Poisson distribution by the log of its mean, mean over the outputs."""
    return (jnp.exp(logs) - labels * logs).mean(-1)


def quantile(
    loss: Quantile, outputs: Float[Array, "*members rows levels"], labels: Float[Array, "*members rows targets"]
) -> Float[Array, "*members rows"]:
    """Pinball loss, mean over the levels."""
    levels, error = jnp.array(loss.levels, outputs.dtype), labels - outputs
    return jnp.where(error > 0, levels * error, (levels - 1.0) * error).mean(-1)


def zero_inflated_lognormal(
    loss: ZeroInflatedLognormal, outputs: Float[Array, "*members rows 3"], labels: Float[Array, "*members rows 1"]
) -> Float[Array, "*members rows"]:
    """Log loss of being above 0 and, of those that are, the negative log of a lognormal density."""
    logit, location, scale = jnp.unstack(outputs, axis=-1)
    amount, above = labels.squeeze(-1), labels.squeeze(-1) > 0
    scale = jnp.maximum(jax.nn.softplus(scale), SCALE_FLOOR)
    log_amount = jnp.log(jnp.where(above, amount, 1.0))
    density = log_amount + jnp.log(scale) + math.log(2.0 * math.pi) / 2.0
    density += jnp.square((log_amount - location) / scale) / 2.0
    zero_or_not = optax.sigmoid_binary_cross_entropy(logit, above.astype(logit.dtype))
    return zero_or_not + jnp.where(above, density, 0.0)


LOSSES: dict[str, Callable[..., Array]] = {
    "log_loss": log_loss,
    "cross_entropy": cross_entropy,
    "squared": squared,
    "absolute": absolute,
    "huber": huber,
    "poisson": poisson,
    "quantile": quantile,
    "zero_inflated_lognormal": zero_inflated_lognormal,
}


def task_losses(
    layout: Layout, logits: list[Float[Array, "*members rows outputs"]], batch: Mapping[str, Array]
) -> Float[Array, " tasks"]:
    """Each task's weighted mean loss over the rows that have a label, in the layout's order."""
    losses = []
    for i, (head, outputs) in enumerate(zip(layout.heads, unconditional(layout, logits), strict=True)):
        rows = LOSSES[head.loss](head.objective, outputs, batch[f"labels.{i}"])
        losses.append((rows * batch[f"shares.{i}"]).sum(-1))
    return jnp.hstack(losses)


def unconditional(
    layout: Layout, logits: list[Float[Array, "*members rows outputs"]]
) -> list[Float[Array, "*members rows outputs"]]:
    """The heads' outputs, of tasks that are given another the logit of the product of both probabilities.

    With p = 1/(1+e^-a) and q = 1/(1+e^-b), pq/(1-pq) = 1/(e^-a + e^-b + e^-(a+b)), whose log neither over- nor
    underflows.
    """
    if not layout.chains:
        return logits
    by_task = layout.by_task(logits)
    for task, given in layout.chains:
        a, b = by_task[given], by_task[task]
        by_task[task] = -jax.nn.logsumexp(jnp.stack([-a, -b, -a - b]), axis=0)
    of_heads = [[by_task[task.name] for task in head.tasks] for head in layout.heads]
    return [
        jnp.stack(outputs) if head.tied else outputs[0] for outputs, head in zip(of_heads, layout.heads, strict=True)
    ]


def total_loss(task_losses: Float[Array, " tasks"], weights: Float[Array | np.ndarray, " tasks"]) -> Float[Array, ""]:
    """Σ_t weight_t · loss_t."""
    return task_losses @ weights


def present_tasks(layout: Layout, batch: Mapping[str, Array]) -> Float[Array, " tasks"]:
    """1 for each task that has a label in the batch, else 0, in the layout's order.

    Where devices share the batch, it is told with it: see `backends.parts`.
    """
    if "present" in batch:
        return batch["present"]
    shares = [batch[f"shares.{i}"] for i in range(len(layout.heads))]
    return jnp.hstack([share.sum(-1) > 0 for share in shares]).astype(shares[0].dtype)
