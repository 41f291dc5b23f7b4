"""The training step, and the run in progress. There is one execution, eager: NumPy compiles nothing."""

from collections.abc import Mapping

import numpy as np

from backends.batches import Batches
from backends.layout import layout_of
from backends.lazy import PARAMS
from backends.numpy_eager import optimizers
from backends.numpy_eager.gradients import Batch, loss_and_gradient
from backends.numpy_eager.layers import Array
from backends.numpy_eager.model import Network
from spec.model import ModelSpec
from spec.optimizers import SGD
from spec.training import StepSpec


class Trainer:
    """A run in progress: holds the network and the optimizer's slots, and feeds them batches."""

    def __init__(
        self,
        model: ModelSpec,
        step_spec: StepSpec,
        params: np.ndarray,
        device: str,
        execution: str,
        slots: Mapping[str, np.ndarray],
        tables: Mapping[str, Mapping[str, np.ndarray]],
        balance: Mapping[str, np.ndarray],
        constants: Mapping[str, np.ndarray],
    ) -> None:
        assert isinstance(step_spec.optimizer, SGD)
        assert not balance
        self.optimizer, self.constants = step_spec.optimizer, constants
        self.network = Network(layout_of(model, frozen=step_spec.frozen), params, constants)
        self._slots = optimizers.init(self.optimizer, self.network.params)
        self._slots |= {name: slot.copy() for name, slot in slots.items()}

    def run(self, batches: Batches) -> np.ndarray:
        """Train on all steps of `batches`; returns the losses: float64 (steps, losses)."""
        steps = len(batches["learning_rate"])
        losses = [self.step({name: array[i] for name, array in batches.items()} | self.constants) for i in range(steps)]
        return np.array(losses, np.float64)

    def step(self, batch: Batch) -> Array:
        """One optimizer step on one batch; returns the losses before it (1+tasks,)."""
        losses, gradient = loss_and_gradient(self.network, batch)
        moved, self._slots = optimizers.update(self.optimizer, gradient, self._slots, self.network.params, batch)
        self.network.params[:] = moved  # in place: the network's tensors are views of it
        return losses

    def params(self) -> np.ndarray:
        """The parameters so far: (parameters,)."""
        return self.network.params.copy()

    def slots(self) -> dict[str, np.ndarray]:
        """The optimizer's vectors so far, by name: (parameters,)."""
        return {name: slot.copy() for name, slot in self._slots.items()}

    def tables(self) -> dict[str, dict[str, np.ndarray]]:
        """Lazily updated tables: none, which the backend says."""
        return {name: {} for name in (PARAMS, *self._slots)}

    def balance(self) -> dict[str, np.ndarray]:
        """What balancing keeps: nothing, where the weights are fixed."""
        return {}
