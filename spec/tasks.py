"""What each kind of task is: its label, its prediction, its loss and its metrics, in one table.

Everything else reads these tables and asks for no kind by its name: a kind that has numbers for labels is treated as
such by the rows' checks, the tables' columns, the batches, the metrics and the plots.
"""

from dataclasses import dataclass
from typing import Literal

TaskKind = Literal["binary", "regression", "multiclass"]

Label = Literal["truth", "number", "class"]
"""What a label is. truth: 0 or 1. number: any number, one for each output. class: an integer in [0, outputs)."""

Link = Literal["sigmoid", "identity", "softmax"]
"""How a head's outputs become a prediction: a probability, the outputs themselves, or the classes' probabilities."""


@dataclass(frozen=True, kw_only=True)
class TaskTraits:
    """What all tasks of one kind have in common."""

    label: Label
    outputs: tuple[int, int | None]
    """The smallest and the largest width of the head's output layer; None: no largest."""
    link: Link
    loss: str
    """The default, an entry of LOSSES."""
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

    @property
    def prediction_per_output(self) -> bool:
        """Whether a prediction has an axis of outputs."""
        return self.link != "sigmoid"


TASK_KINDS: dict[TaskKind, TaskTraits] = {
    "binary": TaskTraits(label="truth", outputs=(1, 1), link="sigmoid", loss="log_loss", metrics=("auc", "log_loss")),
    "regression": TaskTraits(
        label="number", outputs=(1, None), link="identity", loss="squared", metrics=("rmse", "mae")
    ),
    "multiclass": TaskTraits(
        label="class", outputs=(2, None), link="softmax", loss="cross_entropy", metrics=("accuracy", "log_loss")
    ),
}


@dataclass(frozen=True, kw_only=True)
class LossTraits:
    """What is known of a loss besides its formula, which stands in each backend's `losses.py`."""

    metric: str
    """The metric whose power is the mean loss over a set of rows."""
    power: int = 1
    likelihood_scale: float
    """c_t of uncertainty weighting: 1/2 for a Gaussian likelihood, 1 for a softmax (see `spec.balancing`)."""


LOSSES: dict[str, LossTraits] = {
    "log_loss": LossTraits(metric="log_loss", likelihood_scale=1.0),
    "squared": LossTraits(metric="rmse", power=2, likelihood_scale=0.5),
    "cross_entropy": LossTraits(metric="log_loss", likelihood_scale=1.0),
}

HIGHER_IS_BETTER: dict[str, bool] = {"auc": True, "accuracy": True, "log_loss": False, "rmse": False, "mae": False}
"""By the name of a metric; `shared_bottom.run.metrics` computes them."""
