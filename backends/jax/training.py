"""A run in progress: the state on its device, and what the loop asks of it."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax

from backends.batches import Batches
from backends.jax import optimizers
from backends.jax.processes import everywhere, mesh_of
from backends.jax.settings import scope
from backends.jax.state import TrainState, start_tables, vectors
from backends.jax.steps import make_run
from backends.layout import layout_of
from backends.lazy import PARAMS
from backends.parts import part_of
from spec.model import ModelSpec
from spec.training import StepSpec


class Trainer:
    """A run in progress: holds the state on its device and feeds it batches."""

    def __init__(
        self,
        model: ModelSpec,
        step_spec: StepSpec,
        params: np.ndarray,
        device: jax.Device,
        execution: str,
        slots: Mapping[str, np.ndarray],
        tables: Mapping[str, Mapping[str, np.ndarray]],
        balance: Mapping[str, np.ndarray],
        constants: Mapping[str, np.ndarray],
    ) -> None:
        self.device, self.dtype, self.part = device, params.dtype, step_spec.part
        self.layout, mesh = layout_of(model, step_spec.lazy_batch, step_spec.frozen), mesh_of(device, step_spec.part)
        self._run = make_run(model, step_spec, execution, mesh)
        with scope(self.dtype, device):
            vector = jax.device_put(params, device)
            optimizer_state = optimizers.init(step_spec.optimizer, vector)
            optimizer_state = optax.tree_utils.tree_set(optimizer_state, **slots)
            kept, whole = jax.device_put((dict(balance), start_tables(step_spec.optimizer, tables)), device)
            state = TrainState(vector, jax.device_put(optimizer_state, device), kept, whole)
            self.state, self.constants = everywhere((state, jax.device_put(dict(constants), device)), mesh)

    def run(self, batches: Batches) -> np.ndarray:
        """Train on all steps of `batches`; returns when done, with the losses: float64 (steps, losses)."""
        with scope(self.dtype, self.device):
            arguments = as_arguments(part_of(self.layout, batches, self.part))
            self.state, losses = self._run(self.state, arguments, self.constants)
            return np.asarray(losses, dtype=np.float64)

    def params(self) -> np.ndarray:
        """The parameters so far, and the numbers learned beside them: (parameters,)."""
        return np.asarray(self.state.params)

    def slots(self) -> dict[str, np.ndarray]:
        """The optimizer's vectors so far, by name: (parameters,)."""
        return {name: np.asarray(vector) for name, vector in vectors(self.state).items() if name != PARAMS}

    def tables(self) -> dict[str, dict[str, np.ndarray]]:
        """The lazily updated tables so far, and the optimizer's slots for them."""
        return {
            name: {table: np.asarray(array) for table, array in tables.items()}
            for name, tables in self.state.tables.items()
        }

    def balance(self) -> dict[str, np.ndarray]:
        """What balancing keeps, so far, by name: (tasks,)."""
        return {name: np.array(numbers) for name, numbers in self.state.balance.items()}


def as_arguments(batches: Batches) -> dict[str, Any]:
    """The arrays as a compiled function takes them: it moves NumPy's to the device itself, in a third of the time of
    device_put. Dropout keys become uint32, where the hash works without int64."""
    return {name: array.astype(np.uint32) if name == "dropout_key" else array for name, array in batches.items()}
