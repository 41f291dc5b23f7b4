"""What each kind of task is: its label, its prediction, its loss and its metrics, in one table.

Everything else reads these tables and asks for no kind by its name: a kind that has numbers for labels is treated as
such by the rows' checks, the tables' columns, the batches, the metrics and the plots.
"""

from dataclasses import dataclass
from typing import Literal

from spec.losses import (
    Absolute,
    CrossEntropy,
    Huber,
    LogLoss,
    Loss,
    Poisson,
    Quantile,
    Squared,
    ZeroInflatedLognormal,
)

TaskKind = Literal["binary", "regression", "multiclass"]

Label = Literal["truth", "number", "class"]
"""What a label is. truth: 0 or 1. number: any number, one for each output. class: an integer in [0, outputs)."""


@dataclass(frozen=True, kw_only=True)
class TaskTraits:
    """What all tasks of one kind have in common."""

    label: Label
    outputs: tuple[int, int | None]
    """The smallest and the largest number of outputs; None: no largest."""
    losses: tuple[Loss, ...]
    """What its loss may be, with the defaults of each; the first is the default."""
    metrics: tuple[str, ...]
    """By name, entries of HIGHER_IS_BETTER; the first is the main one."""

    @property
    def label_per_output(self) -> bool:
        """Whether a label has an axis of outputs."""
        return self.label == "number"

    @property
    def missing_label(self) -> float:
        """What marks a missing label: NaN, or -1 where labels are integers."""
        return -1 if self.label == "class" else float("nan")


TASK_KINDS: dict[TaskKind, TaskTraits] = {
    "binary": TaskTraits(label="truth", outputs=(1, 1), losses=(LogLoss(),), metrics=("auc", "log_loss")),
    "regression": TaskTraits(
        label="number",
        outputs=(1, None),
        losses=(Squared(), Absolute(), Huber(), Poisson(), Quantile(), ZeroInflatedLognormal()),
        metrics=("rmse", "mae"),
    ),
    "multiclass": TaskTraits(
        label="class", outputs=(2, None), losses=(CrossEntropy(),), metrics=("accuracy", "log_loss")
    ),
}

HIGHER_IS_BETTER: dict[str, bool] = {"auc": True, "accuracy": True, "log_loss": False, "rmse": False, "mae": False}
"""By the name of a metric; `shared_bottom.run.metrics` computes them."""
