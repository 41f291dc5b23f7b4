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

HIGHER_IS_BETTER: dict[str, bool | None] = {
    "auc": True,
    "pr_auc": True,
    "group_auc": True,
    "ndcg": True,
    "accuracy": True,
    "top": True,
    "macro_f1": True,
    "r2": True,
    "log_loss": False,
    "brier": False,
    "calibration_error": False,
    "rmse": False,
    "mae": False,
    "mape": False,
    "pinball": False,
    "coverage_error": False,
    "coverage": None,
    "loss": False,
}
"""By the name of a metric, without what stands behind an @; None: neither is better, as a share should be its level.
`shared_bottom.run.metric_functions` computes them."""

GROUPED = frozenset({"group_auc", "ndcg"})
"""The metrics that are means over groups of rows, so that the rows need a group each."""


def split_metric(metric: str) -> tuple[str, float]:
    """A metric's name without the number behind its @, and this number: 10 for ndcg@10, 0 where there is none."""
    name, _, number = metric.partition("@")
    return name, float(number or 0)


def higher_is_better(metric: str) -> bool | None:
    """Whether a higher value of the metric, such as auc or ndcg@10, is better; None: neither is."""
    return HIGHER_IS_BETTER[split_metric(metric)[0]]
