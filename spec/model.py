"""What to build: a Shared-Bottom network (Caruana, "Multitask Learning", Machine Learning 28, 1997).

The inputs run through one trunk that all tasks share, and from its last layer through one head per task:

    numeric | embeddings  ->  trunk  ->  heads  ->  outputs of each task

Every trunk layer (the last one too) and every hidden layer of a head is linear, layer norm if asked, activation,
dropout, in this order. A head's output layer is linear.
"""

from itertools import accumulate
from typing import Literal, Self

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from spec.tasks import LOSSES, TASK_KINDS, TaskKind, TaskTraits
from spec.validation import STRICT, Count, Flag, Fraction, Identifier, Many, NonNegative, Some, Width, unique

Activation = Literal["relu", "gelu", "silu", "tanh"]
Normalization = Literal["none", "layer"]
Initializer = Literal["torch_default", "he_normal", "lecun_normal", "glorot_uniform"]
Pooling = Literal["mean", "sum", "max"]

LAYER_NORM_EPS = 1e-5
"""Added to the variance inside the root. PyTorch's default; Flax's is 1e-6."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CategoricalFeature:
    """An id in [0, vocabulary), or several, looked up in an embedding table of (vocabulary, dimension)."""

    name: Identifier
    """A Python identifier."""
    vocabulary: Width
    """Number of ids."""
    dimension: Width
    """Width of an id's embedding."""
    length: Width = 1
    """Most ids that a row has: so many adjacent columns. Where it is above 1, -1 marks a place without an id."""
    pooling: Pooling = "mean"
    """How a row's embeddings become one, over the ids that are there; 0 if none is. max: of each element."""
    table: Identifier | None = None
    """Features of one table share its embedding. None: the table is called as the feature."""
    trainable: Flag = True
    """Whether training moves the embedding. A frozen one has no gradient, no optimizer slots and no weight decay."""

    @property
    def parameter(self) -> str:
        """The name of its embedding table among the parameters."""
        return f"embeddings.{self.table or self.name}"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TaskSpec:
    """A target and the head that predicts it."""

    name: Identifier
    """A Python identifier."""
    kind: TaskKind
    """binary: one logit, log loss. regression: mean squared error. multiclass: one logit a class, cross-entropy."""
    hidden: Many[Width] = ()
    """Widths of the head's hidden layers; none makes the head linear."""
    outputs: Width = 1
    """Width of the target (regression); number of classes (multiclass), which may be left out where the rows come from
    a table; 1 for a binary task."""
    weight: NonNegative = 1.0
    """The task's factor in the total loss."""

    @model_validator(mode="after")
    def _outputs_fit_the_kind(self) -> "TaskSpec":
        _, most = self.traits.outputs
        if self.outputs > (most or self.outputs):
            raise ValueError(f"outputs: expected {most} for the {self.kind} task {self.name!r}, got {self.outputs}")
        return self

    @property
    def traits(self) -> TaskTraits:
        """What its kind says of it."""
        return TASK_KINDS[self.kind]

    @property
    def outputs_left_open(self) -> bool:
        """Whether its outputs are fewer than its kind has, so that a table has to say how many there are."""
        return self.outputs < self.traits.outputs[0]

    @property
    def loss(self) -> str:
        """Its loss, an entry of `spec.tasks.LOSSES`."""
        return self.traits.loss

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its kind, the main one first, and that of its loss."""
        return tuple(dict.fromkeys((*self.traits.metrics, LOSSES[self.loss].metric)))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkSpec:
    """The network but for its inputs: where the rows come from a table, its columns say what they are."""

    trunk: Some[Width]
    """Widths of the shared layers."""
    tasks: Some[TaskSpec]
    """The targets. The network has one head for each."""
    activation: Activation = "relu"
    """gelu is the exact one, x·Φ(x), not its tanh approximation."""
    normalization: Normalization = "none"
    """layer: layer norm (Ba et al., 2016) with an eps of 1e-5 after each hidden linear layer."""
    dropout: Fraction = 0.0
    """Probability of dropping an element after each activation; the kept ones are scaled by 1 / (1 - dropout)."""
    initializer: Initializer = "torch_default"
    """How kernels and biases start: see `spec.params.initial_params`."""

    @model_validator(mode="after")
    def _task_names(self) -> Self:
        unique("tasks", (task.name for task in self.tasks))
        return self


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelSpec(NetworkSpec):
    """The network: its inputs, its trunk, its tasks."""

    numeric: Count = 0
    """Width of the numeric input."""
    categorical: Many[CategoricalFeature] = ()
    """The categorical features, in the order of the data set's columns."""

    @model_validator(mode="after")
    def _inputs(self) -> Self:
        if not self.numeric and not self.categorical:
            raise ValueError("numeric, categorical: expected at least one input column, got none")
        unique("categorical", (feature.name for feature in self.categorical))
        first: dict[str, CategoricalFeature] = {}
        for i, feature in enumerate(self.categorical):
            other = first.setdefault(feature.parameter, feature)
            for field in ("vocabulary", "dimension", "trainable"):
                expected, received = getattr(other, field), getattr(feature, field)
                if received != expected:
                    raise ValueError(
                        f"categorical.{i}.{field}: expected {expected}, as {other.name!r} has, which shares "
                        f"{feature.parameter} with {feature.name!r}, got {received}"
                    )
        return self

    @model_validator(mode="after")
    def _outputs(self) -> Self:
        for task in self.tasks:
            if task.outputs_left_open:
                expected = f"{task.traits.outputs[0]} or more for the {task.kind} task {task.name!r}"
                raise ValueError(f"outputs: expected {expected}, got {task.outputs}")
        return self

    @property
    def input_width(self) -> int:
        """Width of what enters the trunk: the numeric columns, then the embedding of every feature."""
        return self.numeric + sum(feature.dimension for feature in self.categorical)

    @property
    def id_columns(self) -> tuple[slice, ...]:
        """Of each categorical feature, which of the data set's columns have its ids."""
        stops = list(accumulate(feature.length for feature in self.categorical))
        return tuple(slice(stop - feature.length, stop) for stop, feature in zip(stops, self.categorical, strict=True))
