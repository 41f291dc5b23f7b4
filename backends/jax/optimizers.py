"""The optimizers of `spec.training`, on one flat vector of parameters: the formulas stand there.

Each is a chain of optax's transformations. Only what optax has in another form than torch.optim is written out:
clipping and Adagrad, both for the place of eps, and Adam, whose debiasing optax computes in the parameters' precision.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float

from spec.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from spec.training import CLIP_EPS


def init(optimizer: Optimizer, params: Float[Array, " parameters"]) -> optax.OptState:
    """The state before the first step."""
    return transformation(optimizer).init(params)


def update(
    optimizer: Optimizer,
    gradient: Float[Array, " parameters"],
    state: optax.OptState,
    params: Float[Array, " parameters"],
    inputs: Mapping[str, Array],
) -> tuple[Float[Array, " parameters"], optax.OptState]:
    """One step: clip the gradient, decay the weights, move the parameters. Returns new ones.

    inputs: the numbers that the step takes: learning_rate (), debias (2,) as `spec.training.debias` says, and, where
    the run has them, clip_norm () and weight_decay (). That of the optimizer is not looked at.
    """
    if "clip_norm" in inputs:
        gradient = clip_by_norm(gradient, inputs["clip_norm"])
    chain = transformation(optimizer, inputs.get("weight_decay"))
    direction, state = chain.update(gradient, state, params, debias=inputs["debias"])
    return params - inputs["learning_rate"] * direction, state


def clip_by_norm(gradient: Float[Array, " parameters"], clip_norm: Float[Array, ""]) -> Float[Array, " parameters"]:
    """Scale by clip_norm / (norm + eps) where that is below 1."""
    return gradient * jnp.minimum(clip_norm / (jnp.linalg.norm(gradient) + CLIP_EPS), 1.0)


def transformation(
    optimizer: Optimizer, weight_decay: Float[Array, ""] | None = None
) -> optax.GradientTransformationExtraArgs:
    """From the clipped gradient to the direction of the step, to be scaled by the learning rate."""
    decay = optax.identity() if weight_decay is None else optax.add_decayed_weights(weight_decay)
    direction = DIRECTIONS[optimizer.kind](optimizer)
    steps = (direction, decay) if optimizer.decoupled_decay else (decay, direction)
    return optax.with_extra_args_support(optax.chain(*steps))


def sgd(optimizer: SGD) -> optax.GradientTransformation:
    """The direction of SGD's step."""
    return optax.trace(optimizer.momentum, optimizer.nesterov) if optimizer.momentum else optax.identity()


class AdamState(NamedTuple):
    """Adam's slots."""

    mu: Float[Array, " parameters"]
    nu: Float[Array, " parameters"]


def adam(optimizer: Adam | AdamW) -> optax.GradientTransformation:
    """The direction of Adam's step."""

    def init(params: Array) -> AdamState:
        return AdamState(jnp.zeros_like(params), jnp.zeros_like(params))

    def update(
        gradient: Array, state: AdamState, params: Array | None = None, *, debias: Array, **_: Any
    ) -> tuple[Array, AdamState]:
        mu = optimizer.beta1 * state.mu + (1.0 - optimizer.beta1) * gradient
        nu = optimizer.beta2 * state.nu + (1.0 - optimizer.beta2) * jnp.square(gradient)
        return (mu * debias[0]) / (jnp.sqrt(nu * debias[1]) + optimizer.eps), AdamState(mu, nu)

    return optax.GradientTransformationExtraArgs(init, update)


class AdagradState(NamedTuple):
    """Adagrad's slot."""

    sum_of_squares: Float[Array, " parameters"]


def adagrad(optimizer: Adagrad) -> optax.GradientTransformation:
    """The direction of Adagrad's step."""

    def init(params: Array) -> AdagradState:
        return AdagradState(jnp.full_like(params, optimizer.initial_accumulator))

    def update(gradient: Array, state: AdagradState, params: Array | None = None) -> tuple[Array, AdagradState]:
        sum_of_squares = state.sum_of_squares + jnp.square(gradient)
        return gradient / (jnp.sqrt(sum_of_squares) + optimizer.eps), AdagradState(sum_of_squares)

    return optax.GradientTransformation(init, update)


def rmsprop(optimizer: RMSprop) -> optax.GradientTransformation:
    """The direction of RMSprop's step."""
    scale = optax.scale_by_rms(optimizer.decay, optimizer.eps, eps_in_sqrt=False)
    return optax.chain(scale, optax.trace(optimizer.momentum)) if optimizer.momentum else scale


DIRECTIONS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adam,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
}
