"""The losses of a batch and the gradient of their total."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from backends.numpy_eager.layers import Array
from backends.numpy_eager.losses import task_losses
from backends.numpy_eager.model import Network

Batch = Mapping[str, Array]


def loss_and_gradient(network: Network, batch: Batch) -> tuple[Float[Array, " 1+tasks"], Float[Array, " parameters"]]:
    """The losses of one batch, the total first, and the gradient of the total."""
    weights = batch["task_weights"]
    logits, pullback = network.stacked_logits(batch.get("numeric"), batch.get("categorical"), batch.get("dropout_key"))
    losses, slopes = task_losses(network.layout, logits, batch)
    start, weighted = 0, []
    for head, slope in zip(network.layout.heads, slopes, strict=True):
        of_head = weights[start : start + len(head.tasks)]
        weighted.append(slope * (of_head[:, None, None] if head.tied else of_head))
        start += len(head.tasks)
    gradients = pullback(weighted)
    for name, members in network.layout.joined.items():
        moved = np.argsort(members)[: len(network.layout.tensors[name].parts)]
        gradients[name] = gradients[name][moved]
    gradient = np.concatenate([gradients[name].ravel() for name in network.layout.tensors])
    return np.hstack([losses @ weights, losses]), gradient
