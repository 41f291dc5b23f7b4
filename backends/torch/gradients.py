"""The losses of a batch and their gradients: of the total, or of each task alone."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vjp, vmap

from backends.torch.losses import task_losses, total_loss
from backends.torch.model import Network
from backends.torch.processes import summed

Batch = Mapping[str, Tensor]
"""The arrays of a step, and what is the same in all steps: see `backends.batches`."""
Losses = Float[Tensor, " 1+tasks"]
"""The total loss, then each task's in the layout's order."""


class TaskLosses(nn.Module):
    """The tasks' losses of a batch as a module around the network, which is what functional_call takes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Float[Tensor, " tasks"]:
        """In the layout's order."""
        inputs = {name: batch[name] for name in ("numeric", "categorical", "dropout_key") if name in batch}
        return task_losses(self.network.layout, self.network.stacked_logits(**inputs), batch)


def losses_of(network: Network, batch: Batch) -> Callable[[dict[str, Tensor]], Float[Tensor, " tasks"]]:
    """The tasks' losses as a function of the layout's tensors."""
    module = TaskLosses(network)

    def losses(tensors: dict[str, Tensor]) -> Float[Tensor, " tasks"]:
        prefixed = {f"network.{name}": tensor for name, tensor in whole(network, tensors, batch).items()}
        return functional_call(module, prefixed, (batch,), tie_weights=False)

    return losses


def whole(network: Network, moved: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """All of the network's tensors: those that move, the frozen ones out of a batch, and those that join both."""
    frozen = {name: batch[name] for name in network.layout.frozen}
    joined = {name: torch.cat([moved[name], frozen[name]])[members] for name, members in network.joined.items()}
    return {**moved, **frozen, **joined}


def is_functional(network: Network) -> bool:
    """Whether the network's tensors are arguments of a function, and not parameters of the module. Without a compiler
    torch.func takes twice the time of the module and torch.autograd, which cannot have tensors that join others.
    """
    return torch.compiler.is_dynamo_compiling() or bool(network.layout.joined)


def loss_and_gradient(
    network: Network, weights: Float[Tensor, " tasks"], params: Float[Tensor, " parameters"], batch: Batch
) -> tuple[Losses, Float[Tensor, " parameters"]]:
    """The losses of one batch, and the gradient of their total: sums over the rows of all devices."""
    if is_functional(network):
        losses_at = losses_of(network, batch)

        def loss(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            losses = losses_at(tensors)
            return total_loss(losses, weights), losses

        tensors = network.layout.to_tensors(params)
        by_name, (total, losses) = grad_and_value(loss, has_aux=True)(tensors)
        gradients = [by_name[name] for name in tensors]
    else:
        parameters = network.bind(params, batch)
        losses = TaskLosses(network)(batch)
        total = total_loss(losses, weights)
        gradients = list(torch.autograd.grad(total, parameters))
    gradient = torch.cat([array.flatten() for array in gradients])
    return summed(torch.hstack([total, losses]).detach(), gradient, network.part)


def task_gradients(
    network: Network, params: Float[Tensor, " parameters"], batch: Batch
) -> tuple[Float[Tensor, " tasks"], Float[Tensor, "tasks parameters"]]:
    """The losses of one batch, and each one's gradient: sums over the rows of all devices."""
    one_hot = torch.eye(len(network.layout.tasks), dtype=params.dtype, device=params.device)
    if is_functional(network):
        tensors = network.layout.to_tensors(params)
        losses, pullback = vjp(losses_of(network, batch), tensors)  # type: ignore[misc]  # three only with has_aux
        (by_name,) = vmap(pullback)(one_hot)
        gradients = [by_name[name] for name in tensors]
    else:
        parameters = network.bind(params, batch)
        losses = TaskLosses(network)(batch)
        gradients = list(torch.autograd.grad(losses, parameters, one_hot, is_grads_batched=True))
    matrix = torch.cat([array.flatten(1) for array in gradients], dim=1)
    losses, matrix = summed(losses.detach().unsqueeze(1), matrix, network.part)
    return losses.squeeze(1), matrix
