"""The optimizers of `spec.training`, on one flat vector of parameters: the formulas stand there.

Written out rather than taken from torch.optim, because a pure update is what a compiled step and a scan need.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from spec.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from spec.training import CLIP_EPS

Slots = dict[str, Float[Tensor, " parameters"]]
"""What an optimizer keeps between steps: vectors like the parameters, by name."""


def init(optimizer: Optimizer, params: Float[Tensor, " parameters"]) -> Slots:
    """The slots before the first step."""
    start = optimizer.initial_accumulator if isinstance(optimizer, Adagrad) else 0.0
    return {name: torch.full_like(params, start) for name in optimizer.slots}


def update(
    optimizer: Optimizer,
    gradient: Float[Tensor, " parameters"],
    slots: Slots,
    params: Float[Tensor, " parameters"],
    inputs: Mapping[str, Tensor],
) -> tuple[Float[Tensor, " parameters"], Slots]:
    """One step: clip the gradient, decay the weights, move the parameters. Returns new ones.

    inputs: the numbers that the step takes: learning_rate (), debias (2,) as `spec.training.debias` says, and, where
    the run has them, clip_norm () and weight_decay (). That of the optimizer is not looked at.
    """
    if "clip_norm" in inputs:
        gradient = clip_by_norm(gradient, inputs["clip_norm"])
    if "weight_decay" in inputs and not optimizer.decoupled_decay:
        gradient = gradient + inputs["weight_decay"] * params
    direction, slots = DIRECTIONS[optimizer.kind](optimizer, gradient, slots, inputs["debias"])
    if "weight_decay" in inputs and optimizer.decoupled_decay:
        direction = direction + inputs["weight_decay"] * params
    return params - inputs["learning_rate"] * direction, slots


def clip_by_norm(gradient: Float[Tensor, " parameters"], clip_norm: Float[Tensor, ""]) -> Float[Tensor, " parameters"]:
    """Scale by clip_norm / (norm + eps) where that is below 1."""
    return gradient * (clip_norm / (torch.linalg.vector_norm(gradient) + CLIP_EPS)).clamp(max=1.0)


def sgd(optimizer: SGD, gradient: Tensor, slots: Slots, debias: Tensor) -> tuple[Tensor, Slots]:
    """The direction of SGD's step, to be scaled by the learning rate."""
    if not optimizer.momentum:
        return gradient, {}
    trace = optimizer.momentum * slots["trace"] + gradient
    direction = (
        gradient + optimizer.momentum * trace if optimizer.nesterov else trace.clone()
    )  # a scan forbids two outputs of one storage
    return direction, {"trace": trace}


def adam(optimizer: Adam | AdamW, gradient: Tensor, slots: Slots, debias: Tensor) -> tuple[Tensor, Slots]:
    """The direction of Adam's step, to be scaled by the learning rate."""
    mu = optimizer.beta1 * slots["mu"] + (1.0 - optimizer.beta1) * gradient
    nu = optimizer.beta2 * slots["nu"] + (1.0 - optimizer.beta2) * gradient.square()
    return (mu * debias[0]) / ((nu * debias[1]).sqrt() + optimizer.eps), {"mu": mu, "nu": nu}


def adagrad(optimizer: Adagrad, gradient: Tensor, slots: Slots, debias: Tensor) -> tuple[Tensor, Slots]:
    """The direction of Adagrad's step, to be scaled by the learning rate."""
    sum_of_squares = slots["sum_of_squares"] + gradient.square()
    return gradient / (sum_of_squares.sqrt() + optimizer.eps), {"sum_of_squares": sum_of_squares}


def rmsprop(optimizer: RMSprop, gradient: Tensor, slots: Slots, debias: Tensor) -> tuple[Tensor, Slots]:
    """The direction of RMSprop's step, to be scaled by the learning rate."""
    nu = optimizer.decay * slots["nu"] + (1.0 - optimizer.decay) * gradient.square()
    direction = gradient / (nu.sqrt() + optimizer.eps)
    if not optimizer.momentum:
        return direction, {"nu": nu}
    trace = optimizer.momentum * slots["trace"] + direction
    return trace.clone(), {"nu": nu, "trace": trace}


DIRECTIONS: dict[str, Callable[..., tuple[Tensor, Slots]]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adam,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
}
