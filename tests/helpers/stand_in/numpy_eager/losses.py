"""The tasks' losses and their slopes. Row weights, missing labels and padding are in the rows' shares: see
`backends.batches`.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, logsumexp, softmax

from backends.layout import Layout
from backends.numpy_eager.layers import Array

Loss = tuple[Float[Array, "*members rows"], Float[Array, "*members rows outputs"]]
"""Of each row, and its slope along each logit."""


def log_loss(logits: Float[Array, "*members rows 1"], labels: Float[Array, "*members rows"]) -> Loss:
    """Log loss of a logit, in the form that does not overflow."""
    x = logits.squeeze(-1)
    return np.maximum(x, 0.0) - x * labels + np.log1p(np.exp(-np.abs(x))), expit(logits) - labels[..., None]


def squared(outputs: Float[Array, "*members rows outputs"], labels: Float[Array, "*members rows outputs"]) -> Loss:
    """Squared error, mean over the outputs."""
    error = outputs - labels
    return np.square(error).mean(-1), 2.0 / error.shape[-1] * error


def cross_entropy(logits: Float[Array, "*members rows classes"], labels: Int[Array, "*members rows"]) -> Loss:
    """Cross-entropy of the class."""
    labels = labels[..., None]
    chosen = (np.arange(logits.shape[-1]) == labels).astype(logits.dtype)
    loss = logsumexp(logits, axis=-1) - np.take_along_axis(logits, labels, axis=-1).squeeze(-1)
    return loss, softmax(logits, axis=-1) - chosen


LOSSES: dict[str, Callable[[Array, Array], Loss]] = {
    "log_loss": log_loss,
    "squared": squared,
    "cross_entropy": cross_entropy,
}


def task_losses(
    layout: Layout, logits: list[Float[Array, "*members rows outputs"]], batch: Mapping[str, Array]
) -> tuple[Float[Array, " tasks"], list[Float[Array, "*members rows outputs"]]]:
    """Each task's weighted mean loss over the rows that have a label, in the layout's order; and the slopes by head."""
    losses, slopes = [], []
    for i, (head, of_head) in enumerate(zip(layout.heads, logits, strict=True)):
        rows, slope = LOSSES[head.loss](of_head, batch[f"labels.{i}"])
        shares = batch[f"shares.{i}"]
        losses.append((rows * shares).sum(-1))
        slopes.append(slope * shares[..., None])
    return np.hstack(losses), slopes
