"""The tasks' losses. Row weights, missing labels and padding are in the rows' shares: see `backends.batches`."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Int

from backends.layout import Layout


def log_loss(
    logits: Float[Array, "*members rows 1"], labels: Float[Array, "*members rows"]
) -> Float[Array, "*members rows"]:
    """Log loss of a logit, in the form that does not overflow."""
    return optax.sigmoid_binary_cross_entropy(logits.squeeze(-1), labels)


def squared(
    outputs: Float[Array, "*members rows outputs"], labels: Float[Array, "*members rows outputs"]
) -> Float[Array, "*members rows"]:
    """Squared error, mean over the outputs."""
    return jnp.square(outputs - labels).mean(-1)


def cross_entropy(
    logits: Float[Array, "*members rows classes"], labels: Int[Array, "*members rows"]
) -> Float[Array, "*members rows"]:
    """Cross-entropy of the class."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "log_loss": log_loss,
    "squared": squared,
    "cross_entropy": cross_entropy,
}


def task_losses(
    layout: Layout, logits: list[Float[Array, "*members rows outputs"]], batch: Mapping[str, Array]
) -> Float[Array, " tasks"]:
    """Each task's weighted mean loss over the rows that have a label, in the layout's order."""
    losses = []
    for i, (head, outputs) in enumerate(zip(layout.heads, logits, strict=True)):
        rows = LOSSES[head.loss](outputs, batch[f"labels.{i}"])
        losses.append((rows * batch[f"shares.{i}"]).sum(-1))
    return jnp.hstack(losses)


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
