"""The tasks' losses: the formulas of `spec.losses`, for each row.

Row weights, missing labels and padding are in the rows' shares: see `backends.batches`.
"""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

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
    loss: LogLoss, logits: Float[Tensor, "*members rows 1"], labels: Float[Tensor, "*members rows"]
) -> Float[Tensor, "*members rows"]:
    """Log loss of a logit, in a form that does not overflow."""
    logits = logits.squeeze(-1)
    if loss.plain:
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    labels = labels * (1.0 - loss.label_smoothing) + loss.label_smoothing / 2.0
    log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
    of_positive = loss.positive_weight * labels * torch.exp(loss.focal_gamma * log_not_p) * log_p
    return -of_positive - (1.0 - labels) * torch.exp(loss.focal_gamma * log_p) * log_not_p


def cross_entropy(
    loss: CrossEntropy, logits: Float[Tensor, "*members rows classes"], labels: Int[Tensor, "*members rows"]
) -> Float[Tensor, "*members rows"]:
    """Cross-entropy of the class."""
    labels = labels.long().unsqueeze(-1)
    if loss.plain:
        return logits.logsumexp(-1) - logits.gather(-1, labels).squeeze(-1)
    classes = logits.shape[-1]
    weights = logits.new_tensor(loss.class_weights or (1.0,) * classes)
    weighted = weights * -logits.log_softmax(-1)
    chosen = weighted.gather(-1, labels).squeeze(-1)
    return (1.0 - loss.label_smoothing) * chosen + loss.label_smoothing / classes * weighted.sum(-1)


def squared(
    loss: Squared, outputs: Float[Tensor, "*members rows outputs"], labels: Float[Tensor, "*members rows outputs"]
) -> Float[Tensor, "*members rows"]:
    """Squared error, mean over the outputs."""
    return F.mse_loss(outputs, labels, reduction="none").mean(-1)


def absolute(
    loss: Absolute, outputs: Float[Tensor, "*members rows outputs"], labels: Float[Tensor, "*members rows outputs"]
) -> Float[Tensor, "*members rows"]:
    """Absolute error, mean over the outputs."""
    return (outputs - labels).abs().mean(-1)


def huber(
    loss: Huber, outputs: Float[Tensor, "*members rows outputs"], labels: Float[Tensor, "*members rows outputs"]
) -> Float[Tensor, "*members rows"]:
    """Squared error near 0 and absolute error beyond delta, mean over the outputs."""
    error = (outputs - labels).abs()
    near = error.clamp(max=loss.delta)
    return (near * (error - near / 2.0)).mean(-1)


def poisson(
    loss: Poisson, logs: Float[Tensor, "*members rows outputs"], labels: Float[Tensor, "*members rows outputs"]
) -> Float[Tensor, "*members rows"]:
    """Negative log-likelihood of a Poisson distribution by the log of its mean, mean over the outputs."""
    return (logs.exp() - labels * logs).mean(-1)


def quantile(
    loss: Quantile, outputs: Float[Tensor, "*members rows levels"], labels: Float[Tensor, "*members rows targets"]
) -> Float[Tensor, "*members rows"]:
    """Pinball loss, mean over the levels."""
    levels, error = outputs.new_tensor(loss.levels), labels - outputs
    return torch.where(error > 0, levels * error, (levels - 1.0) * error).mean(-1)


def zero_inflated_lognormal(
    loss: ZeroInflatedLognormal, outputs: Float[Tensor, "*members rows 3"], labels: Float[Tensor, "*members rows 1"]
) -> Float[Tensor, "*members rows"]:
    """Log loss of being above 0 and, of those that are, the negative log of a lognormal density."""
    logit, location, scale = outputs.unbind(-1)
    amount, above = labels.squeeze(-1), labels.squeeze(-1) > 0
    scale = F.softplus(scale, threshold=40.0).clamp(min=SCALE_FLOOR)  # from there on it is exact to take the output
    log_amount = torch.where(above, amount, 1.0).log()
    density = log_amount + scale.log() + math.log(2.0 * math.pi) / 2.0
    density = density + ((log_amount - location) / scale).square() / 2.0
    zero_or_not = F.binary_cross_entropy_with_logits(logit, above.to(logit.dtype), reduction="none")
    return zero_or_not + torch.where(above, density, 0.0)


LOSSES: dict[str, Callable[..., Tensor]] = {
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
    layout: Layout, logits: list[Float[Tensor, "*members rows outputs"]], batch: Mapping[str, Tensor]
) -> Float[Tensor, " tasks"]:
    """Each task's weighted mean loss over the rows that have a label, in the layout's order."""
    losses = []
    for i, (head, outputs) in enumerate(zip(layout.heads, unconditional(layout, logits), strict=True)):
        rows = LOSSES[head.loss](head.objective, outputs, batch[f"labels.{i}"])
        losses.append((rows * batch[f"shares.{i}"]).sum(-1))
    return torch.hstack(losses)


def unconditional(
    layout: Layout, logits: list[Float[Tensor, "*members rows outputs"]]
) -> list[Float[Tensor, "*members rows outputs"]]:
    """The heads' outputs, of tasks that are given another the logit of the product of both probabilities.

    With p = 1/(1+e^-a) and q = 1/(1+e^-b), pq/(1-pq) = 1/(e^-a + e^-b + e^-(a+b)), whose log neither over- nor
    underflows.
    """
    if not layout.chains:
        return logits
    by_task = layout.by_task(logits)
    for task, given in layout.chains:
        a, b = by_task[given], by_task[task]
        by_task[task] = -torch.stack([-a, -b, -a - b]).logsumexp(0)
    of_heads = [[by_task[task.name] for task in head.tasks] for head in layout.heads]
    return [
        torch.stack(outputs) if head.tied else outputs[0] for outputs, head in zip(of_heads, layout.heads, strict=True)
    ]


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
