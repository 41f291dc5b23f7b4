"""The losses of a batch and their gradients: of the total, or of each task alone."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from backends.jax.losses import task_losses, total_loss
from backends.jax.model import Network
from backends.jax.processes import summed

Batch = Mapping[str, Array]
"""The arrays of a step, and what is the same in all steps: see `backends.batches`."""
Losses = Float[Array, " 1+tasks"]
"""The total loss, then each task's in the layout's order."""


def losses_of(network: Network, batch: Batch) -> Callable[[dict[str, Array]], Float[Array, " tasks"]]:
    """The tasks' losses as a function of the layout's tensors."""
    inputs = {name: batch[name] for name in ("numeric", "categorical", "dropout_key") if name in batch}

    def losses(tensors: dict[str, Array]) -> Float[Array, " tasks"]:
        bound = network.bind(whole(network, tensors, batch))
        return task_losses(network.layout, bound.stacked_logits(**inputs), batch)

    return losses


def whole(network: Network, moved: dict[str, Array], batch: Batch) -> dict[str, Array]:
    """All of the network's tensors: those that move, the frozen ones out of a batch, and those that join both."""
    frozen = {name: batch[name] for name in network.layout.frozen}
    joined = {
        name: jnp.concatenate([moved[name], frozen[name]])[jnp.array(members)]
        for name, members in network.layout.joined.items()
    }
    return {**moved, **frozen, **joined}


def loss_and_gradient(
    network: Network,
    weights: Float[Array | np.ndarray, " tasks"],
    params: Float[Array, " parameters"],
    batch: Batch,
) -> tuple[Losses, Float[Array, " parameters"]]:
    """The losses of one batch, and the gradient of their total: sums over the rows of all devices."""
    losses_at = losses_of(network, batch)

    def loss(tensors: dict[str, Array]) -> tuple[Array, Array]:
        losses = losses_at(tensors)
        return total_loss(losses, weights), losses

    tensors = network.layout.to_tensors(params)
    (total, losses), gradients = jax.value_and_grad(loss, has_aux=True)(tensors)
    gradient = jnp.concatenate([gradients[name].ravel() for name in tensors])
    return summed(jnp.hstack([total, losses]), gradient, network.part)


def task_gradients(
    network: Network, params: Float[Array, " parameters"], batch: Batch
) -> tuple[Float[Array, " tasks"], Float[Array, "tasks parameters"]]:
    """The losses of one batch, and each one's gradient: sums over the rows of all devices."""
    tensors, one_hot = network.layout.to_tensors(params), jnp.eye(len(network.layout.tasks), dtype=params.dtype)
    losses, pullback = jax.vjp(losses_of(network, batch), tensors)
    (gradients,) = jax.vmap(pullback)(one_hot)
    matrix = jnp.concatenate([gradients[name].reshape(len(one_hot), -1) for name in tensors], axis=1)
    losses, matrix = summed(losses[:, None], matrix, network.part)
    return losses.squeeze(1), matrix
