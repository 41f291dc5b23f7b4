"""The methods of `spec.balancing`, where the formulas stand: losses and gradient of a step, and what is kept for later.

Arrays with one number for each task are in the layout's order. Where the factors change from step to step, the losses
are followed by the factor that each task's loss was multiplied by.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from backends.balancing import likelihood_scale
from backends.torch.gradients import Batch, loss_and_gradient, task_gradients
from backends.torch.losses import present_tasks
from backends.torch.model import Network
from spec.balancing import GRADNORM_FLOOR, DynamicWeightAverage, Fixed, GradNorm, PCGrad, UncertaintyWeighting

Balance = dict[str, Float[Tensor, " tasks"]]
"""What a method keeps between steps, by the names of its `state`."""
Weights = Float[Tensor, " tasks"]
Balanced = tuple[Float[Tensor, " losses"], Float[Tensor, " parameters"], Balance]


def fixed(
    balancing: Fixed, network: Network, weights: Weights, params: Tensor, balance: Balance, batch: Batch
) -> Balanced:
    """Σ_t w_t·L_t."""
    losses, gradient = loss_and_gradient(network, weights, params, batch)
    return losses, gradient, balance


def uncertainty(
    balancing: UncertaintyWeighting,
    network: Network,
    weights: Weights,
    params: Tensor,
    balance: Balance,
    batch: Batch,
) -> Balanced:
    """The slope of the log-variances is that of the formula, written out."""
    log_variance = params[network.layout.size :]
    factors = (
        weights
        * torch.tensor(likelihood_scale(network.layout), dtype=params.dtype, device=params.device)
        * torch.exp(-log_variance)
    )
    losses, gradient = loss_and_gradient(network, factors, params, batch)
    share = weights * present_tasks(network.layout, batch) / 2.0
    total = losses[:1] + share @ log_variance
    gradient = torch.cat([gradient, share - factors * losses[1:]])
    return torch.cat([total, losses[1:], factors]), gradient, balance


def dynamic_weight_average(
    balancing: DynamicWeightAverage,
    network: Network,
    weights: Weights,
    params: Tensor,
    balance: Balance,
    batch: Batch,
) -> Balanced:
    """Epochs have one number of steps, so the ratio of two means is that of the sums."""
    begins = batch["epoch_start"]
    older = torch.where(begins, balance["last"], balance["older"])
    last = torch.where(begins, balance["sum"], balance["last"])
    ratio = torch.where(older > 0, last / torch.where(older > 0, older, 1.0), 1.0)
    factors = weights * len(weights) * torch.softmax(ratio / balancing.temperature, dim=0)
    losses, gradient = loss_and_gradient(network, factors, params, batch)
    so_far = torch.where(begins, 0.0, balance["sum"]) + losses[1:]
    return torch.cat([losses, factors]), gradient, {"sum": so_far, "last": last, "older": older}


def gradnorm(
    balancing: GradNorm, network: Network, weights: Weights, params: Tensor, balance: Balance, batch: Batch
) -> Balanced:
    """The factors of this step, and then those of the next."""
    losses, gradients = task_gradients(network, params, batch)
    factors = weights * balance["factor"]
    counts = present_tasks(network.layout, batch) * (weights > 0)
    tasks = counts.sum().clamp(min=1.0)
    first = torch.where(balance["first_loss"] > 0, balance["first_loss"], losses)
    rate = counts * torch.where(losses < 0, 1.0, losses / torch.where(first > 0, first, 1.0))
    mean = rate.sum() / tasks
    rate = rate / torch.where(mean > 0, mean, 1.0)
    slope = counts * weights * torch.linalg.vector_norm(gradients[:, network.layout.last_shared], dim=1)
    norm = balance["factor"] * slope
    target = norm.sum() / tasks * rate**balancing.alpha
    apart = torch.sign(norm - target) * (tasks > 1)  # of one task alone, only rounding sets them apart
    factor = balance["factor"] - balancing.learning_rate * apart * slope
    factor = factor.clamp(min=GRADNORM_FLOOR)
    factor = factor * (len(factor) / factor.sum())
    total = (factors @ losses).reshape(1)
    return torch.cat([total, losses, factors]), factors @ gradients, {"factor": factor, "first_loss": first}


def pcgrad(
    balancing: PCGrad, network: Network, weights: Weights, params: Tensor, balance: Balance, batch: Batch
) -> Balanced:
    """Each projected gradient as a combination of the tasks' gradients: only their inner products are needed."""
    losses, gradients = task_gradients(network, params, batch)
    gradients = weights.unsqueeze(1) * gradients
    pieces = [(gradients[:, place], several) for place, several in network.layout.pieces]
    shared = torch.cat([gradients[:, :0], *(piece for piece, several in pieces if several)], dim=1)
    inner = shared @ shared.T
    one_hot = torch.eye(len(weights), dtype=params.dtype, device=params.device)
    mix = one_hot
    for turn in range(len(weights) - 1):
        other = one_hot[batch["projection_order"][:, turn]]  # a row for each task
        product, square = (mix * (other @ inner)).sum(1), other @ shared.square().sum(1)
        conflict = torch.where(square > 0, product.clamp(max=0.0) / torch.where(square > 0, square, 1.0), 0.0)
        mix = mix - conflict.unsqueeze(1) * other
    gradient = torch.cat([mix.sum(0) @ piece if several else piece.sum(0) for piece, several in pieces])
    return torch.cat([(weights @ losses).reshape(1), losses]), gradient, balance


BALANCINGS: dict[str, Callable[..., Balanced]] = {
    "fixed": fixed,
    "uncertainty": uncertainty,
    "dwa": dynamic_weight_average,
    "gradnorm": gradnorm,
    "pcgrad": pcgrad,
}
