"""What to build: a Shared-Bottom network (Caruana, "Multitask Learning", Machine Learning 28, 1997), or one that shares
its trunk between the tasks in another way: see `spec.sharing`.

The inputs run through one trunk that all tasks share, and from its last layer through one head per task:

    numeric | embeddings  ->  trunk  ->  heads  ->  outputs of each task

Every trunk layer (the last one too) and every hidden layer of a head is linear, layer norm if asked, activation,
dropout, in this order. A head's output layer is linear.
"""

from itertools import accumulate
from typing import Literal, Self

from pydantic import model_validator

from spec.classes import spec_class
from spec.sharing import SharedBottom, Sharing
from spec.tasks import TaskSpec
from spec.validation import Count, Flag, Fraction, Identifier, Many, Some, Width, unique

Activation = Literal["relu", "gelu", "silu", "tanh"]
Normalization = Literal["none", "layer"]
Initializer = Literal["torch_default", "he_normal", "lecun_normal", "glorot_uniform"]
Pooling = Literal["mean", "sum", "max"]

LAYER_NORM_EPS = 1e-5
"""Added to the variance inside the root. PyTorch's default; Flax's is 1e-6."""


@spec_class
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


@spec_class
class NetworkSpec:
    """The network but for its inputs: where the rows come from a table, its columns say what they are."""

    trunk: Some[Width]
    """Widths of the layers of the trunk, or of each expert where there are several."""
    tasks: Some[TaskSpec]
    """The targets. The network has one head for each."""
    sharing: Sharing = SharedBottom()
    """How the tasks share the layers before their heads."""
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
        meaning = {task.name: "a task" for task in self.tasks}
        for task in self.tasks:
            for part in task.parts:
                beside = f"what the predictions of task {task.name!r} have beside them"
                if part in meaning:
                    raise ValueError(f"tasks: expected distinct names, got {part!r} for {meaning[part]} and {beside}")
                meaning[part] = beside
        for task in self.tasks:
            if task.name in self.sharing.reserved:
                expected = f"a task to be called otherwise with sharing {self.sharing.kind}"
                raise ValueError(f"tasks: expected {expected}, got {task.name!r}")
        return self

    @model_validator(mode="after")
    def _given_tasks(self) -> Self:
        tasks = {task.name: task for task in self.tasks}
        for task in self.tasks:
            path = [task.name]
            while (given := tasks[path[-1]].given) is not None:
                place = f"tasks.{path[-1]}.given"
                others = [name for name, other in tasks.items() if other.kind == task.kind and name != path[-1]]
                if given not in others:
                    expected = f"one of the {task.kind} tasks {', '.join(others)}" if others else "none"
                    alone = "" if others else f", since no other task is {task.kind}"
                    raise ValueError(f"{place}: expected {expected}{alone}, got {given!r}")
                if given in path:
                    raise ValueError(f"{place}: expected no circle, got {' given '.join([*path, given])}")
                path.append(given)
        return self


@spec_class
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
