"""The losses of a batch and their gradients: of the total, or of each task alone."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, grad_and_value, vjp, vmap

from backends.torch.losses import task_losses, total_loss
from backends.torch.model import SharedBottom

Batch = Mapping[str, Tensor]
Losses = Float[Tensor, " 1+tasks"]
"""The total loss, then each task's in the layout's order."""


def losses_of(network: SharedBottom, batch: Batch) -> Callable[[dict[str, Tensor] | None], Float[Tensor, " tasks"]]:
    """The tasks' losses as a function of the layout's tensors; None: of the network's own parameters."""
    inputs = {name: batch[name] for name in ("numeric", "categorical", "dropout_key") if name in batch}

    def losses(tensors: dict[str, Tensor] | None) -> Float[Tensor, " tasks"]:
        if tensors is None:
            logits = network(**inputs, by_task=False)
        else:
            logits = functional_call(network, tensors, (), {**inputs, "by_task": False}, tie_weights=False)
        return task_losses(network.layout, logits, batch)

    return losses


def loss_and_gradient(
    network: SharedBottom, weights: Float[Tensor, " tasks"], params: Float[Tensor, " parameters"], batch: Batch
) -> tuple[Losses, Float[Tensor, " parameters"]]:
    """The losses of one batch, and the gradient of their total."""
    losses_at = losses_of(network, batch)

    def loss(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        losses = losses_at(tensors)
        return total_loss(losses, weights), losses

    if torch.compiler.is_dynamo_compiling():
        tensors = network.layout.to_tensors(params)
        found, (total, losses) = grad_and_value(loss, has_aux=True)(tensors)
        gradients = [found[name] for name in tensors]
    else:  # the same by the network's own parameters: without a compiler, torch.func takes twice the time
        own = network.bind(params)
        losses = losses_at(None)
        total = total_loss(losses, weights)
        gradients = list(torch.autograd.grad(total, own))
    gradient = torch.cat([array.flatten() for array in gradients])
    return torch.hstack([total, losses]).detach(), gradient


def task_gradients(
    network: SharedBottom, params: Float[Tensor, " parameters"], batch: Batch
) -> tuple[Float[Tensor, " tasks"], Float[Tensor, "tasks parameters"]]:
    """The losses of one batch, and each one's gradient."""
    losses_at, one_hot = losses_of(network, batch), torch.eye(len(network.layout.tasks)).to(params)
    if torch.compiler.is_dynamo_compiling():
        tensors = network.layout.to_tensors(params)
        losses, pullback = vjp(losses_at, tensors)  # type: ignore[misc]  # three only with has_aux
        (found,) = vmap(pullback)(one_hot)
        gradients = [found[name] for name in tensors]
    else:
        own = network.bind(params)
        losses = losses_at(None)
        gradients = list(torch.autograd.grad(losses, own, one_hot, is_grads_batched=True))
    return losses.detach(), torch.cat([array.flatten(1) for array in gradients], dim=1)
