"""SGD, on one flat vector of parameters: the formula stands in `spec.training`."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from backends.numpy_eager.layers import Array
from spec.optimizers import SGD
from spec.training import CLIP_EPS

Slots = dict[str, Float[Array, " parameters"]]
"""What an optimizer keeps between steps: vectors like the parameters, by name."""


def init(optimizer: SGD, params: Float[Array, " parameters"]) -> Slots:
    """The slots before the first step."""
    return {name: np.zeros_like(params) for name in optimizer.slots}


def update(
    optimizer: SGD,
    gradient: Float[Array, " parameters"],
    slots: Slots,
    params: Float[Array, " parameters"],
    inputs: Mapping[str, Array],
) -> tuple[Float[Array, " parameters"], Slots]:
    """One step: clip the gradient, decay the weights, move the parameters. Returns new ones.

    inputs: has learning_rate (), and clip_norm () and weight_decay () where the run has them.
    """
    if "clip_norm" in inputs:
        gradient = gradient * np.minimum(inputs["clip_norm"] / (np.linalg.norm(gradient) + CLIP_EPS), 1.0)
    if "weight_decay" in inputs:
        gradient = gradient + inputs["weight_decay"] * params
    if not optimizer.momentum:
        return params - inputs["learning_rate"] * gradient, {}
    trace = optimizer.momentum * slots["trace"] + gradient
    direction = gradient + optimizer.momentum * trace if optimizer.nesterov else trace
    return params - inputs["learning_rate"] * direction, {"trace": trace}
