"""SGD, on one flat vector of parameters: the formula stands in `spec.training`."""

import numpy as np
from jaxtyping import Float

from backends.numpy_eager.layers import Array
from spec.training import CLIP_EPS, SGD

Slots = dict[str, Float[Array, " parameters"]]
"""What an optimizer keeps between steps: vectors like the parameters, by name."""


def init(optimizer: SGD, params: Float[Array, " parameters"]) -> Slots:
    """The slots before the first step."""
    return {name: np.zeros_like(params) for name in optimizer.slots}


def update(
    optimizer: SGD,
    clip_norm: float | None,
    gradient: Float[Array, " parameters"],
    slots: Slots,
    params: Float[Array, " parameters"],
    learning_rate: Float[Array, ""],
) -> tuple[Float[Array, " parameters"], Slots]:
    """One step: clip the gradient, decay the weights, move the parameters. Returns new ones."""
    if clip_norm is not None:
        gradient = gradient * np.minimum(clip_norm / (np.linalg.norm(gradient) + CLIP_EPS), 1.0)
    gradient = gradient + optimizer.weight_decay * params
    if not optimizer.momentum:
        return params - learning_rate * gradient, {}
    trace = optimizer.momentum * slots["trace"] + gradient
    direction = gradient + optimizer.momentum * trace if optimizer.nesterov else trace
    return params - learning_rate * direction, {"trace": trace}
