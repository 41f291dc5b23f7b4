"""What a backend's trainer does: the one thing that the training loop asks of a framework while a run goes on."""

from typing import Protocol

import numpy as np

from backends.batches import Batches


class Trainer(Protocol):
    """A run in progress on a device. Vectors are (parameters,), in the order of the layout."""

    def run(self, batches: Batches) -> np.ndarray:
        """Train on all steps of `batches`; returns when done, with the losses: float64 (steps, losses).

        The total, then each task's; then, where balancing moves them, the factors that the tasks counted by.
        """

    def params(self) -> np.ndarray:
        """The parameters so far, and behind them the numbers that balancing learns: see `backends.balancing`."""

    def slots(self) -> dict[str, np.ndarray]:
        """The optimizer's vectors so far, like the parameters', by the names of `optimizer.slots`."""

    def balance(self) -> dict[str, np.ndarray]:
        """What balancing keeps, so far, by the names of its `state`: (tasks,) each, in the layout's order."""
