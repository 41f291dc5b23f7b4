"""A task: what its kind says of it (its label, its losses, its metrics), in one table, and its spec.

Everything else reads these tables and asks for no kind by its name: a kind that has numbers for labels is treated as
such by the rows' checks, the tables' columns, the batches, the metrics and the plots.
"""

import dataclasses
import re
from collections.abc import Iterable
from typing import Literal, Self

from pydantic import model_validator

from spec.classes import spec_class
from spec.losses import (
    Absolute,
    AnyLoss,
    CrossEntropy,
    Huber,
    LogLoss,
    Loss,
    Poisson,
    Quantile,
    Squared,
    ZeroInflatedLognormal,
)
from spec.metrics import GROUPED, split_metric
from spec.validation import Identifier, Many, NonNegative, Width

TaskKind = Literal["binary", "regression", "multiclass"]

Label = Literal["truth", "number", "class"]
"""What a label is. truth: 0 or 1. number: any number, one for each output. class: an integer in [0, outputs)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskTraits:
    """What all tasks of one kind have in common."""

    label: Label
    outputs: tuple[int, int | None]
    """The smallest and the largest number of outputs; None: no largest."""
    losses: tuple[Loss, ...]
    """What its loss may be, with the defaults of each; the first is the default."""
    metrics: tuple[str, ...]
    """By name, entries of `spec.metrics.HIGHER_IS_BETTER`; the first is the main one."""
    more_metrics: tuple[str, ...]
    """Those that it has besides where they are asked for. K stands for a whole number of 1 or more."""

    @property
    def label_per_output(self) -> bool:
        """Whether a label has an axis of outputs."""
        return self.label == "number"

    @property
    def missing_label(self) -> float:
        """What marks a missing label: NaN, or -1 where labels are integers."""
        return -1 if self.label == "class" else float("nan")


TASK_KINDS: dict[TaskKind, TaskTraits] = {
    "binary": TaskTraits(
        label="truth",
        outputs=(1, 1),
        losses=(LogLoss(),),
        metrics=("auc", "log_loss"),
        more_metrics=("pr_auc", "brier", "calibration_error", "group_auc", "ndcg@K"),
    ),
    "regression": TaskTraits(
        label="number",
        outputs=(1, None),
        losses=(Squared(), Absolute(), Huber(), Poisson(), Quantile(), ZeroInflatedLognormal()),
        metrics=("rmse", "mae"),
        more_metrics=("r2", "mape"),
    ),
    "multiclass": TaskTraits(
        label="class",
        outputs=(2, None),
        losses=(CrossEntropy(),),
        metrics=("accuracy", "log_loss"),
        more_metrics=("top@K", "macro_f1"),
    ),
}


@spec_class
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
    """What training minimizes. None: log_loss (binary), squared (regression), cross_entropy (multiclass)."""
    given: Identifier | None = None
    """Another binary task, for a binary task that depends on it, as a purchase does on a click: its probability is
    P(given)·P(this | given), the head's output being that of the second factor, and its loss is that of the product, on
    all rows that have its label (ESMM: Ma et al., SIGIR 2018, eq. 1, 3, 4). Its label is 0 where the other's is 0."""
    more_metrics: Many[str] = ()
    """Metrics besides those that the task has anyway. binary: pr_auc, brier, calibration_error, group_auc, ndcg@K.
    multiclass: top@K, macro_f1. regression: r2, mape; with loss poisson and zero_inflated_lognormal ndcg@K, too; with
    loss quantile only coverage@LEVEL of its levels. K is a whole number, as in ndcg@10; group_auc and ndcg@K need the
    rows' groups."""

    @model_validator(mode="after")
    def _outputs_fit_the_kind(self) -> Self:
        _, most = self.traits.outputs
        if self.outputs > (most or self.outputs):
            raise ValueError(f"outputs: expected {most} for the {self.kind} task {self.name!r}, got {self.outputs}")
        return self

    @model_validator(mode="after")
    def _loss_fits_the_kind(self) -> Self:
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
    def _metrics_are_its_own(self) -> Self:
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


def given_first(tasks: Iterable[TaskSpec]) -> list[TaskSpec]:
    """The tasks, each after the one that it is given."""
    by_name = {task.name: task for task in tasks}

    def depth(task: TaskSpec) -> int:
        return 0 if task.given is None else 1 + depth(by_name[task.given])

    return sorted(by_name.values(), key=depth)
