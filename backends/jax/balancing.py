"""The methods of `spec.balancing`, where the formulas stand: losses and gradient of a step, and what is kept for later.

Arrays with one number for each task are in the layout's order. Where the factors change from step to step, the losses
are followed by the factor that each task's loss was multiplied by.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from backends.balancing import likelihood_scale
from backends.jax.gradients import Batch, loss_and_gradient, task_gradients
from backends.jax.losses import present_tasks
from backends.jax.model import Network
from spec.balancing import GRADNORM_FLOOR, DynamicWeightAverage, Fixed, GradNorm, PCGrad, UncertaintyWeighting

Balance = dict[str, Float[Array, " tasks"]]
"""What a method keeps between steps, by the names of its `state`."""
Weights = Float[Array, " tasks"]
Balanced = tuple[Float[Array, " losses"], Float[Array, " parameters"], Balance]


def fixed(
    balancing: Fixed, network: Network, weights: Weights, params: Array, balance: Balance, batch: Batch
) -> Balanced:
    """Σ_t w_t·L_t."""
    losses, gradient = loss_and_gradient(network, weights, params, batch)
    return losses, gradient, balance


def uncertainty(
    balancing: UncertaintyWeighting,
    network: Network,
    weights: Weights,
    params: Array,
    balance: Balance,
    batch: Batch,
) -> Balanced:
    """The slope of the log-variances is that of the formula, written out."""
    log_variance = params[network.layout.size :]
    factors = weights * jnp.asarray(likelihood_scale(network.layout), params.dtype) * jnp.exp(-log_variance)
    losses, gradient = loss_and_gradient(network, factors, params, batch)
    share = weights * present_tasks(network.layout, batch) / 2.0
    total = losses[:1] + share @ log_variance
    gradient = jnp.concatenate([gradient, share - factors * losses[1:]])
    return jnp.concatenate([total, losses[1:], factors]), gradient, balance


def dynamic_weight_average(
    balancing: DynamicWeightAverage,
    network: Network,
    weights: Weights,
    params: Array,
    balance: Balance,
    batch: Batch,
) -> Balanced:
    """Epochs have one number of steps, so the ratio of two means is that of the sums."""
    begins = batch["epoch_start"]
    older = jnp.where(begins, balance["last"], balance["older"])
    last = jnp.where(begins, balance["sum"], balance["last"])
    ratio = jnp.where(older > 0, last / jnp.where(older > 0, older, 1.0), 1.0)
    factors = weights * len(weights) * jax.nn.softmax(ratio / balancing.temperature)
    losses, gradient = loss_and_gradient(network, factors, params, batch)
    so_far = jnp.where(begins, 0.0, balance["sum"]) + losses[1:]
    return jnp.concatenate([losses, factors]), gradient, {"sum": so_far, "last": last, "older": older}


def gradnorm(
    balancing: GradNorm, network: Network, weights: Weights, params: Array, balance: Balance, batch: Batch
) -> Balanced:
    """The factors of this step, and then those of the next."""
    losses, gradients = task_gradients(network, params, batch)
    factors = weights * balance["factor"]
    counts = present_tasks(network.layout, batch) * (weights > 0)
    tasks = jnp.maximum(counts.sum(), 1.0)
    first = jnp.where(balance["first_loss"] > 0, balance["first_loss"], losses)
    rate = counts * jnp.where(losses < 0, 1.0, losses / jnp.where(first > 0, first, 1.0))
    mean = rate.sum() / tasks
    rate = rate / jnp.where(mean > 0, mean, 1.0)
    slope = counts * weights * jnp.linalg.norm(gradients[:, network.layout.last_shared], axis=1)
    norm = balance["factor"] * slope
    target = norm.sum() / tasks * rate**balancing.alpha
    apart = jnp.sign(norm - target) * (tasks > 1)  # of one task alone, only rounding sets them apart
    factor = balance["factor"] - balancing.learning_rate * apart * slope
    factor = jnp.maximum(factor, GRADNORM_FLOOR)
    factor = factor * (len(factor) / factor.sum())
    total = (factors @ losses).reshape(1)
    return jnp.concatenate([total, losses, factors]), factors @ gradients, {"factor": factor, "first_loss": first}


def pcgrad(
    balancing: PCGrad, network: Network, weights: Weights, params: Array, balance: Balance, batch: Batch
) -> Balanced:
    """Each projected gradient as a combination of the tasks' gradients: only their inner products are needed."""
    losses, gradients = task_gradients(network, params, batch)
    gradients = weights[:, None] * gradients
    pieces = [(gradients[:, place], several) for place, several in network.layout.pieces]
    shared = jnp.concatenate([gradients[:, :0], *(piece for piece, several in pieces if several)], axis=1)
    inner = shared @ shared.T
    one_hot = jnp.eye(len(weights), dtype=params.dtype)
    mix = one_hot
    for turn in range(len(weights) - 1):
        other = one_hot[batch["projection_order"][:, turn]]  # a row for each task
        product, square = (mix * (other @ inner)).sum(1), other @ jnp.square(shared).sum(1)
        conflict = jnp.where(square > 0, jnp.minimum(product, 0.0) / jnp.where(square > 0, square, 1.0), 0.0)
        mix = mix - conflict[:, None] * other
    gradient = jnp.concatenate([mix.sum(0) @ piece if several else piece.sum(0) for piece, several in pieces])
    return jnp.concatenate([(weights @ losses).reshape(1), losses]), gradient, balance


BALANCINGS: dict[str, Callable[..., Balanced]] = {
    "fixed": fixed,
    "uncertainty": uncertainty,
    "dwa": dynamic_weight_average,
    "gradnorm": gradnorm,
    "pcgrad": pcgrad,
}
