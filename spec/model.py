"""What to build: a Shared-Bottom network (Caruana, "Multitask Learning", Machine Learning 28, 1997), or one that shares
its trunk between the tasks in another way: see `spec.sharing`.

The inputs run through one trunk that all tasks share, and from its last layer through one head per task:

    numeric | embeddings  ->  trunk  ->  heads  ->  outputs of each task

Every trunk layer (the last one too) and every hidden layer of a head is linear, layer norm if asked, activation,
dropout, in this order. A head's output layer is linear.
"""

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Literal, Self

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from spec.losses import AnyLoss, CrossEntropy, Loss
from spec.sharing import SharedBottom, Sharing
from spec.tasks import GROUPED, TASK_KINDS, TaskKind, TaskTraits, split_metric
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
    """binary: one logit. regression: a number or several. multiclass: one logit a class."""
    hidden: Many[Width] = ()
    """Widths of the head's hidden layers; none makes the head linear."""
    outputs: Width = 1
    """Width of the target (regression); number of classes (multiclass), which may be left out where the rows come from
    a table; 1 for a binary task."""
    weight: NonNegative = 1.0
    """The task's factor in the total loss."""
    loss: AnyLoss = None
    """What training minimizes, or its kind alone: loss = "huber". None: log_loss (binary), squared (regression),
    cross_entropy (multiclass)."""
    given: Identifier | None = None
    """Another binary task, for a binary task that depends on it, as a purchase does on a click: its probability is
    P(given)·P(this | given), the head's output being that of the second factor, and its loss is that of the product, on
    all rows that have its label (ESMM: Ma et al., SIGIR 2018, eq. 3 and 4). Its label is 0 where the other's is 0."""

    more_metrics: Many[str] = ()
    """Metrics besides those that the task has anyway. binary: pr_auc, brier, calibration_error, group_auc, ndcg@K.
    multiclass: top@K, macro_f1. regression: r2, mape; with loss poisson and zero_inflated_lognormal ndcg@K, too; with
    loss quantile only coverage@LEVEL of its levels. K is a whole number, as in ndcg@10; group_auc and ndcg@K need the
    rows' groups."""

    @model_validator(mode="after")
    def _outputs_fit_the_kind(self) -> "TaskSpec":
        _, most = self.traits.outputs
        if self.outputs > (most or self.outputs):
            raise ValueError(f"outputs: expected {most} for the {self.kind} task {self.name!r}, got {self.outputs}")
        return self

    @model_validator(mode="after")
    def _loss_fits_the_kind(self) -> "TaskSpec":
        kinds = [loss.kind for loss in self.traits.losses]
        if self.objective.kind not in kinds:
            expected = f"one of {', '.join(kinds)} for the {self.kind} task {self.name!r}"
            raise ValueError(f"loss: expected {expected}, got {self.objective.kind}")
        if self.objective.width > 1 and self.outputs > 1:
            expected = f"1 with loss {self.objective.kind} for the task {self.name!r}"
            raise ValueError(f"outputs: expected {expected}, got {self.outputs}")
        weights = self.objective.class_weights if isinstance(self.objective, CrossEntropy) else ()
        if weights and not self.outputs_left_open and len(weights) != self.outputs:
            expected = f"{self.outputs} for the task {self.name!r}"
            raise ValueError(f"loss.class_weights: expected {expected}, got {len(weights)}")
        if self.given is not None and self.traits.label != "truth":
            raise ValueError(f"given: expected none for the {self.kind} task {self.name!r}, got {self.given!r}")
        return self

    @model_validator(mode="after")
    def _metrics_are_its_own(self) -> "TaskSpec":
        for metric in self.more_metrics:
            name, _, number = metric.partition("@")
            general = f"{name}@K" if re.fullmatch("[1-9][0-9]{0,8}", number) else metric
            if number == "K" or general not in self.known_metrics:
                expected = f"of {', '.join(self.known_metrics)} for the task {self.name!r}"
                raise ValueError(f"more_metrics: expected some {expected}, got {metric!r}")
            if name == "top" and not self.outputs_left_open and int(number) >= self.outputs:
                expected = f"a K below the {self.outputs} classes of the task {self.name!r}"
                raise ValueError(f"more_metrics: expected {expected}, got {metric!r}")
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
    def objective(self) -> Loss:
        """Its loss, which is the default of its kind if it names none."""
        return self.loss or self.traits.losses[0]

    @property
    def head_outputs(self) -> int:
        """Width of the head's output layer."""
        return self.outputs * self.objective.width

    @property
    def prediction_outputs(self) -> int:
        """Width of a prediction: that of the target, or a quantile for each level."""
        return len(self.objective.quantiles) or self.outputs

    @property
    def prediction_per_output(self) -> bool:
        """Whether a prediction has an axis of outputs."""
        return self.objective.link != "sigmoid"

    @property
    def parts(self) -> tuple[str, ...]:
        """What `predict` gives beside its prediction, by name: what that is made of."""
        if self.given is not None:
            return (f"{self.name}_given_{self.given}",)
        if self.objective.link == "zero_inflated_lognormal":
            return tuple(f"{self.name}_{part}" for part in ("probability", "location", "scale"))
        return ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its kind or its loss, the main one first, those asked for, and the one that says its loss."""
        usual = self.objective.metrics or self.traits.metrics
        return tuple(dict.fromkeys((*usual, *self.more_metrics, self.objective.metric)))

    @property
    def known_metrics(self) -> tuple[str, ...]:
        """All metrics that it can have; K stands for a whole number of 1 or more."""
        objective, of_kind = self.objective, (*self.traits.metrics, *self.traits.more_metrics)
        more = objective.more_metrics if self.outputs == 1 else ()  # one order of a group's rows
        return tuple(dict.fromkeys((*(objective.metrics or of_kind), *more, objective.metric)))

    @property
    def grouped_metrics(self) -> tuple[str, ...]:
        """Those of its metrics that need the rows' groups."""
        return tuple(metric for metric in self.metrics if split_metric(metric)[0] in GROUPED)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkSpec:
    """The network but for its inputs: where the rows come from a table, its columns say what they are."""

    trunk: Some[Width]
    """Widths of the layers of the trunk, or of each expert where there are several."""
    tasks: Some[TaskSpec]
    """The targets. The network has one head for each."""
    sharing: Sharing = SharedBottom()
    """How the tasks share the layers before their heads. sharing = "mmoe" stands for that kind with its defaults."""
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
        unique("tasks", (name for task in self.tasks for name in (task.name, *task.parts)))
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
                if given not in tasks or tasks[given].kind != task.kind:
                    binary = ", ".join(other.name for other in self.tasks if other.kind == task.kind)
                    raise ValueError(f"given: expected one of the {task.kind} tasks {binary}, got {given!r}")
                if given in path:
                    raise ValueError(f"given: expected no circle, got {' given '.join([*path, given])}")
                path.append(given)
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


def given_first(tasks: Iterable[TaskSpec]) -> list[TaskSpec]:
    """The tasks, each after the one that it is given."""
    by_name = {task.name: task for task in tasks}

    def depth(task: TaskSpec) -> int:
        return 0 if task.given is None else 1 + depth(by_name[task.given])

    return sorted(by_name.values(), key=depth)
