"""What a backend's trainer does: the one thing that the training loop asks of a framework while a run goes on."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from backends.batches import Batches
from backends.layout import Layout
from backends.lazy import PARAMS
from spec.params import Params

Tables = dict[str, dict[str, np.ndarray]]
"""Lazily updated embedding tables, whole (rows, dimension), and the optimizer's slots for them: by PARAMS and the names
of the slots, then by the native tensors' names. Without lazy updates the inner dicts are empty."""


class Trainer(Protocol):
    """A run in progress on a device. Vectors are (parameters,), in the order of the layout.

    What a vector has in the place of lazily updated tables is left of the last step; whole they are in `tables`.
    The arrays that it hands out may be views of its state: the next `run` may write over them.
    """

    def run(self, batches: Batches) -> np.ndarray:
        """Train on all steps of `batches`; returns when done, with the losses: float64 (steps, losses).

        The total, then each task's; then, where balancing moves them, the factors that the tasks counted by.
        """

    def params(self) -> np.ndarray:
        """The parameters so far, and behind them the numbers that balancing learns: see `backends.balancing`."""

    def slots(self) -> dict[str, np.ndarray]:
        """The optimizer's vectors so far, like the parameters', by the names of `optimizer.slots`."""

    def tables(self) -> Tables:
        """The lazily updated tables so far, which stand beside the vectors."""

    def balance(self) -> dict[str, np.ndarray]:
        """What balancing keeps, so far, by the names of its `state`: (tasks,) each, in the layout's order."""


def params_of(
    trainer: Trainer, layout: Layout, frozen: Mapping[str, np.ndarray] | None = None, *, copy: bool = True
) -> Params:
    """The parameters of a run in progress by the spec's names, with the frozen ones. copy: see `Layout.to_params`."""
    return layout.to_params(trainer.params(), frozen, trainer.tables()[PARAMS], copy=copy)


def slots_of(trainer: Trainer, layout: Layout, *, copy: bool = True) -> dict[str, Params]:
    """The optimizer's slots likewise, by their names."""
    tables = trainer.tables()
    return {name: layout.to_params(vector, tables=tables[name], copy=copy) for name, vector in trainer.slots().items()}
