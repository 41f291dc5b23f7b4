"""What training returns, whatever the framework."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spec.params import Params


@dataclass(kw_only=True)
class History:
    """The curves of a run. Losses are weighted means over the rows of a step, as the total loss sums them."""

    execution: str
    """What ran: eager, step or epoch."""
    device: str
    """What it ran on: cpu or gpu."""
    step_loss: np.ndarray
    """float64 (steps,): the total loss of every optimizer step."""
    task_loss: dict[str, np.ndarray]
    """float64 (steps,) by task, before the task's weight."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """By epoch: epoch (from 1), loss and task_loss (means over its steps), metrics (by task), seconds."""


@dataclass(kw_only=True)
class Fitted:
    """A trained network."""

    params: Params
    history: History
