"""The losses of a task: ℓ of one row, with y its label, and what else follows from the choice of a loss.

A head's outputs are called z. Where a target has several outputs, ℓ is the mean over them. A task's loss is the
weighted mean of ℓ over the rows that have its label; it is not divided by weights of classes. The formulas are computed
in each backend's `losses.py`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import model_validator

from spec.classes import spec_class
from spec.validation import ByKind, Fraction, Level, Many, NonNegative, Positive, Some, ascending

Link = Literal["identity", "sigmoid", "softmax", "exponential", "zero_inflated_lognormal"]
"""How a head's outputs become a prediction: the outputs themselves, a probability, the classes' probabilities, a
positive mean, or the mean of a distribution whose parameters they are."""

SCALE_FLOOR = 1e-3
"""Least σ of a lognormal distribution, so that no loss is divided by 0."""


class LossTraits:
    """What is known of a loss besides its formula, as far as a class does not say otherwise."""

    link: ClassVar[Link] = "identity"
    non_negative: ClassVar[bool] = False
    """Whether labels are 0 or more. They are then learned in the unit of their column, as they are."""
    likelihood_scale: ClassVar[float] = 1.0
    """c_t of uncertainty weighting: see `spec.balancing`."""
    power: ClassVar[int] = 1
    """The mean loss over a set of rows is this power of the metric `metric`."""
    metrics: ClassVar[tuple[str, ...]] = ()
    """The metrics of its tasks, the main one first; (): those of the task's kind, and more of these on request."""

    @property
    def more_metrics(self) -> tuple[str, ...]:
        """What its tasks have on request besides: see `spec.tasks.TaskTraits.more_metrics`."""
        return ("ndcg@K",) if self.non_negative else ()

    @property
    def metric(self) -> str:
        """The metric that says the mean loss over a set of rows."""
        return "loss"

    @property
    def width(self) -> int:
        """How many outputs a head has for each output of the target. Above 1, the target has one."""
        return 1

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The levels of the quantiles that a prediction consists of; () where it does not."""
        return ()

    @property
    def plain(self) -> bool:
        """Whether its options leave the formula as it is without them."""
        return True


@spec_class
class LogLoss(LossTraits):
    """ℓ = -(w·y'·(1-p)^γ·log p + (1-y')·p^γ·log(1-p)), with p = 1/(1+e^-z) and y' = y·(1-s) + s/2.

    w is `positive_weight`, s `label_smoothing` (Szegedy et al., CVPR 2016, section 7) and γ `focal_gamma` (Lin et al.,
    "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4). As it is by default, it is the plain log loss.
    """

    kind: Literal["log_loss"] = "log_loss"
    positive_weight: Positive = 1.0
    """Factor of the loss of a row whose label is 1."""
    label_smoothing: Fraction = 0.0
    """How far labels are moved from 0 and 1 towards 1/2."""
    focal_gamma: NonNegative = 0.0
    """How much less a row counts that is predicted well; 0: not at all."""
    link: ClassVar[Link] = "sigmoid"

    @property
    def plain(self) -> bool:
        """See `LossTraits.plain`."""
        return (self.positive_weight, self.label_smoothing, self.focal_gamma) == (1.0, 0.0, 0.0)

    @property
    def metric(self) -> str:
        """See `LossTraits.metric`."""
        return "log_loss" if self.plain else "loss"


@spec_class
class CrossEntropy(LossTraits):
    """ℓ = -(1-s)·w_y·log p_y - s/C·Σ_c w_c·log p_c, with p the softmax of z over C classes  (as in PyTorch, without its
    division by the weights' sum).

    w are `class_weights`, s is `label_smoothing` (Szegedy et al., CVPR 2016, section 7).
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    class_weights: Many[NonNegative] = ()
    """A factor for each class; (): 1 for all."""
    label_smoothing: Fraction = 0.0
    """Share of the label that is spread over all classes."""
    link: ClassVar[Link] = "softmax"

    @model_validator(mode="after")
    def _some_class_counts(self) -> "CrossEntropy":
        if self.class_weights and not any(self.class_weights):
            raise ValueError(f"class_weights: expected at least one above 0, got {self.class_weights}")
        return self

    @property
    def plain(self) -> bool:
        """See `LossTraits.plain`."""
        return not self.class_weights and self.label_smoothing == 0.0

    @property
    def metric(self) -> str:
        """See `LossTraits.metric`."""
        return "log_loss" if self.plain else "loss"


@spec_class
class Squared(LossTraits):
    """ℓ = (z-y)²."""

    kind: Literal["squared"] = "squared"
    likelihood_scale: ClassVar[float] = 0.5
    power: ClassVar[int] = 2

    @property
    def metric(self) -> str:
        """See `LossTraits.metric`."""
        return "rmse"


@spec_class
class Absolute(LossTraits):
    """ℓ = |z-y|, so that the median is learned. Its slope at 0 is 0."""

    kind: Literal["absolute"] = "absolute"

    @property
    def metric(self) -> str:
        """See `LossTraits.metric`."""
        return "mae"


@spec_class
class Huber(LossTraits):
    """ℓ = d²/2 where |d| ≤ δ, and δ·(|d| - δ/2) beyond, with d = z-y  (Huber, Annals of Mathematical Statistics, 1964).

    Outliers pull with a force that does not grow.
    """

    kind: Literal["huber"] = "huber"
    delta: Positive = 1.0
    """δ, in the unit that the network learns."""


@spec_class
class Poisson(LossTraits):
    """ℓ = e^z - y·z, the negative log-likelihood of a Poisson distribution of mean e^z, but for log y!  (Nelder &
    Wedderburn, "Generalized Linear Models", JRSS A, 1972). The prediction is the mean. Labels are 0 or more.
    """

    kind: Literal["poisson"] = "poisson"
    link: ClassVar[Link] = "exponential"
    non_negative: ClassVar[bool] = True


@spec_class
class Quantile(LossTraits):
    """ℓ = mean over the levels τ of max(τ·(y-z_τ), (τ-1)·(y-z_τ))  (Koenker & Bassett, "Regression Quantiles",
    Econometrica, 1978). The head has an output for each level, and the prediction is these: nothing keeps
    those of two levels in order. The target is one number.
    """

    kind: Literal["quantile"] = "quantile"
    levels: Some[Level] = (0.1, 0.5, 0.9)
    """Which quantiles, in ascending order."""
    metrics: ClassVar[tuple[str, ...]] = ("pinball", "coverage_error")

    @property
    def more_metrics(self) -> tuple[str, ...]:
        """See `LossTraits.more_metrics`."""
        return tuple(f"coverage@{level}" for level in self.levels)

    @property
    def metric(self) -> str:
        """See `LossTraits.metric`."""
        return "pinball"

    @property
    def quantiles(self) -> tuple[float, ...]:
        """See `LossTraits.quantiles`."""
        return self.levels

    @property
    def width(self) -> int:
        """See `LossTraits.width`."""
        return len(self.levels)

    @model_validator(mode="after")
    def _ascending(self) -> "Quantile":
        ascending("levels", self.levels)
        return self


@spec_class
class ZeroInflatedLognormal(LossTraits):
    """ℓ = log loss of [y>0] with p, and where y > 0 besides log(y·σ·√(2π)) + (log y - μ)²/(2σ²)  (Wang, Liu & Miao,
    "A Deep Probabilistic Model for Customer Lifetime Value Prediction", 2019), for amounts of which many are 0 and few
    are large.

    The head has three outputs: p = 1/(1+e^-z₁), μ = z₂ and σ = max(log(1+e^z₃), SCALE_FLOOR). The prediction is the
    mean p·exp(μ + σ²/2); p, μ and σ are given beside it. The target is one number. Labels are 0 or more.
    """

    kind: Literal["zero_inflated_lognormal"] = "zero_inflated_lognormal"
    link: ClassVar[Link] = "zero_inflated_lognormal"
    non_negative: ClassVar[bool] = True

    @property
    def width(self) -> int:
        """See `LossTraits.width`."""
        return 3


Loss = LogLoss | CrossEntropy | Squared | Absolute | Huber | Poisson | Quantile | ZeroInflatedLognormal


AnyLoss = Annotated[Loss | None, ByKind()]
"""A loss, its kind alone, or None."""
