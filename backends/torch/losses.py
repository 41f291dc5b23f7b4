"""The tasks' losses. Row weights, missing labels and padding are in the rows' shares: see `backends.batches`."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backends.layout import Layout


def log_loss(
    logits: Float[Tensor, "*members rows 1"], labels: Float[Tensor, "*members rows"]
) -> Float[Tensor, "*members rows"]:
    """Log loss of a logit, in the form that does not overflow."""
    return F.binary_cross_entropy_with_logits(logits.squeeze(-1), labels, reduction="none")


def squared(
    outputs: Float[Tensor, "*members rows outputs"], labels: Float[Tensor, "*members rows outputs"]
) -> Float[Tensor, "*members rows"]:
    """Squared error, mean over the outputs."""
    return F.mse_loss(outputs, labels, reduction="none").mean(-1)


def cross_entropy(
    logits: Float[Tensor, "*members rows classes"], labels: Int[Tensor, "*members rows"]
) -> Float[Tensor, "*members rows"]:
    """Cross-entropy of the class."""
    chosen = logits.gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)
    return logits.logsumexp(-1) - chosen


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log_loss": log_loss,
    "squared": squared,
    "cross_entropy": cross_entropy,
}


def task_losses(
    layout: Layout, logits: list[Float[Tensor, "*members rows outputs"]], batch: Mapping[str, Tensor]
) -> Float[Tensor, " tasks"]:
    """Each task's weighted mean loss over the rows that have a label, in the layout's order."""
    losses = []
    for i, (head, outputs) in enumerate(zip(layout.heads, logits, strict=True)):
        rows = LOSSES[head.loss](outputs, batch[f"labels.{i}"])
        losses.append((rows * batch[f"shares.{i}"]).sum(-1))
    return torch.hstack(losses)


def total_loss(task_losses: Float[Tensor, " tasks"], weights: Float[Tensor, " tasks"]) -> Float[Tensor, ""]:
    """Σ_t weight_t · loss_t."""
    return task_losses @ weights


def present_tasks(layout: Layout, batch: Mapping[str, Tensor]) -> Float[Tensor, " tasks"]:
    """1 for each task that has a label in the batch, else 0, in the layout's order.

    Where devices share the batch, it is told with it: see `backends.parts`.
    """
    if "present" in batch:
        return batch["present"]
    shares = [batch[f"shares.{i}"] for i in range(len(layout.heads))]
    return torch.hstack([share.sum(-1) > 0 for share in shares]).to(shares[0].dtype)
