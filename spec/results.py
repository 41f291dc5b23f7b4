"""What training returns, whatever the framework."""

from dataclasses import dataclass, field
from typing import NotRequired

import numpy as np
from typing_extensions import TypedDict

from spec.params import Params


class Epoch(TypedDict):
    """What the history says of an epoch."""

    epoch: int
    """From 1."""
    step: int
    """Steps of the run that are done at its end. A run that stopped within an epoch has more steps than its last."""
    loss: float
    """Mean over its steps."""
    task_loss: dict[str, float]
    """The same by task, before the task's weight."""
    metrics: NotRequired[dict[str, dict[str, float]]]
    """By task and name, of the validation rows at its end."""
    monitor: NotRequired[float]
    """The value that early stopping watches."""
    seconds: float
    """What it took; of a resumed epoch, the part since."""


@dataclass(kw_only=True)
class History:
    """The curves of a run. Losses are weighted means over the rows of a step, as the total loss sums them."""

    execution: str
    """What ran: eager, step or epoch."""
    device: str
    """What it ran on: cpu or gpu."""
    threads: int | None
    """The processor's threads that it computed with; None if it was saved by a version that took no note of them."""
    processes: int | None = field(default=None, kw_only=True)
    """How many processes, or devices of one, shared each batch: 1 alone. None in a checkpoint, which does not depend on
    it."""
    step_loss: np.ndarray
    """float64 (steps,): the total loss of every optimizer step."""
    task_loss: dict[str, np.ndarray]
    """float64 (steps,) by task, before the task's weight."""
    task_weight: dict[str, np.ndarray]
    """float64 (steps,) by task: its factor in the total loss, fixed or as `train.balancing` set it."""
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int | None = None
    """The epoch (from 1) whose weights early stopping returns; None without it, or if no epoch had a value."""


@dataclass(kw_only=True)
class Fitted:
    """A trained network."""

    params: Params
    history: History
    balance: Params = field(default_factory=dict)
    """What `train.balancing` learned or keeps, by name, at the run's end: (tasks,) each, in the spec's order."""


class DivergenceError(ArithmeticError):
    """A loss became NaN or infinite, and the run stopped."""

    history: History
    """The curves up to and with the step, and the epochs that ended before it."""
    step: int
    """The step's index in the curves, from 0."""
    task: str | None
    """The first task, in the spec's order, whose loss is not finite; None if only their weighted sum is not."""
    learning_rate: float
    """That of the step."""

    def __init__(self, message: str, history: History, *, step: int, task: str | None, learning_rate: float) -> None:
        super().__init__(message)
        self.history, self.step, self.task, self.learning_rate = history, step, task, learning_rate
