"""The rows of which a metric is computed, and what comes of it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np

from shared_bottom.run.metrics.averages import scaled
from spec.tasks import TaskSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """n rows that count for a task."""

    task: TaskSpec
    label: np.ndarray
    """(n,), or (n, outputs) if each output has a label."""
    predicted: np.ndarray
    """(n, …), as `spec.Backend.predict` gives them."""
    weight: np.ndarray | None
    """(n,); None: all count alike."""
    parts: tuple[np.ndarray, ...] = ()
    """(n,) each: the parameters of a distribution, if the prediction is its mean."""
    group: np.ndarray | None = None
    """(n,), as in `spec.Dataset`."""

    @cached_property
    def prediction(self) -> np.ndarray:
        """As float64. Probabilities of classes add up to 1, as float32 ones do but for their rounding."""
        prediction = self.predicted.astype(np.float64)
        softmax = self.task.objective.link == "softmax"
        return prediction / prediction.sum(axis=1, keepdims=True) if softmax else prediction

    @cached_property
    def scaled(self) -> Any:
        """Weights that do not overflow, and the weights' sum, as `averages.scaled` gives them."""
        return scaled(self.weight, len(self.label))

    @property
    def shares(self) -> np.ndarray | None:
        """Weights that do not overflow (n,), if there are any."""
        return cast("np.ndarray | None", self.scaled[0])


class Result(NamedTuple):
    """A metric's value."""

    value: float
    remark: str = ""
    """Why it is NaN, or else which groups it leaves out."""


NOT_DEFINED = float("nan")
