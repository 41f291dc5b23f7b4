"""The optimizers: what moves the parameters.

Defaults and meaning are those of torch.optim; each class gives the update as a formula, with g the gradient (clipped,
and with weight decay added as L2 unless `decoupled_decay`), p the parameter and lr the learning rate of the step.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import model_validator

from spec.classes import spec_class
from spec.validation import Flag, Fraction, NonNegative, Positive


@spec_class
class SGD:
    """b = momentum·b + g;  p -= lr·b, or lr·(g + momentum·b) with nesterov (Sutskever et al., ICML 2013).

    weight_decay is L2. The buffer starts as the first g, which is what b = 0 gives without dampening.
    """

    kind: Literal["sgd"] = "sgd"
    learning_rate: Positive = 1e-3
    momentum: Fraction = 0.0
    nesterov: Flag = False
    weight_decay: NonNegative = 0.0
    decoupled_decay: ClassVar[bool] = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "SGD":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: expected a momentum above 0 with it, got momentum 0.0")
        return self

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays, shaped like the parameters, that the optimizer keeps between steps."""
        return ("trace",) if self.momentum else ()


@spec_class
class Adam:
    """m = beta1·m + (1-beta1)·g;  v = beta2·v + (1-beta2)·g²;  p -= lr·m̂ / (√v̂ + eps)  (Kingma & Ba, ICLR 2015).

    m̂ = m / (1-beta1^t) and v̂ = v / (1-beta2^t), t from 1. weight_decay is L2.
    """

    kind: Literal["adam"] = "adam"
    learning_rate: Positive = 1e-3
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    decoupled_decay: ClassVar[bool] = False
    slots: ClassVar[tuple[str, ...]] = ("mu", "nu")


@spec_class
class AdamW:
    """Adam with decoupled decay, p -= lr·weight_decay·p besides  (Loshchilov & Hutter, ICLR 2019, alg. 2)."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: Positive = 1e-3
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 1e-2
    decoupled_decay: ClassVar[bool] = True
    slots: ClassVar[tuple[str, ...]] = ("mu", "nu")


@spec_class
class Adagrad:
    """s += g²;  p -= lr·g / (√s + eps), s from initial_accumulator  (Duchi et al., JMLR 2011). weight_decay is L2."""

    kind: Literal["adagrad"] = "adagrad"
    learning_rate: Positive = 1e-2
    initial_accumulator: NonNegative = 0.0
    eps: Positive = 1e-10
    weight_decay: NonNegative = 0.0
    decoupled_decay: ClassVar[bool] = False
    slots: ClassVar[tuple[str, ...]] = ("sum_of_squares",)


@spec_class
class RMSprop:
    """v = decay·v + (1-decay)·g²;  u = g / (√v + eps);  p -= lr·u  (Tieleman & Hinton, lecture 6.5, 2012).

    With momentum b = momentum·b + u and p -= lr·b. weight_decay is L2.
    """

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: Positive = 1e-2
    decay: Fraction = 0.99
    eps: Positive = 1e-8
    momentum: Fraction = 0.0
    weight_decay: NonNegative = 0.0
    decoupled_decay: ClassVar[bool] = False

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays, shaped like the parameters, that the optimizer keeps between steps."""
        return ("nu", "trace") if self.momentum else ("nu",)


Optimizer = SGD | Adam | AdamW | Adagrad | RMSprop


def debias(optimizer: Optimizer, steps: np.ndarray) -> np.ndarray:
    """Adam's 1 / (1 - beta1^t) and 1 / (1 - beta2^t) for each t of `steps`, t from 1: float64 (steps, 2).

    Ones for other optimizers. Made here and not in the frameworks, which differ: in float32, 1 - 0.999^t is off by up
    to 1e-5 in the first steps, and PyTorch's compiler would take both powers again for every few elements of a vector,
    a sixth of a small step.
    """
    betas = [optimizer.beta1, optimizer.beta2] if isinstance(optimizer, Adam | AdamW) else [0.0, 0.0]
    return 1.0 / (1.0 - np.array(betas) ** steps[:, None])
