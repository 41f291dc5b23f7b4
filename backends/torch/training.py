"""A run in progress: the state on its device, and what the loop asks of it."""

from collections.abc import Mapping

import numpy as np
import torch

from backends.batches import Batches
from backends.layout import layout_of
from backends.parts import part_of
from backends.torch import optimizers
from backends.torch.settings import scope
from backends.torch.state import TrainState, start_tables
from backends.torch.steps import make_run
from spec.model import ModelSpec
from spec.training import StepSpec


class Trainer:
    """A run in progress: holds the state on its device and feeds it batches."""

    def __init__(
        self,
        model: ModelSpec,
        step_spec: StepSpec,
        params: np.ndarray,
        device: torch.device,
        execution: str,
        slots: Mapping[str, np.ndarray],
        tables: Mapping[str, Mapping[str, np.ndarray]],
        balance: Mapping[str, np.ndarray],
        constants: Mapping[str, np.ndarray],
    ) -> None:
        self.device, self.part = device, step_spec.part
        self.layout = layout_of(model, step_spec.lazy_batch, step_spec.frozen)
        with scope():
            self._run = make_run(model, step_spec, params.dtype, device, execution)
            vector = torch.tensor(params, device=device)
            optimizer_slots = optimizers.init(step_spec.optimizer, vector)
            optimizer_slots |= {name: torch.tensor(slot, device=device) for name, slot in slots.items()}
            kept = {name: torch.tensor(numbers, device=device) for name, numbers in balance.items()}
            whole = start_tables(step_spec.optimizer, tables, self.layout, device)
            self.state = TrainState(vector, optimizer_slots, kept, whole)
            self.constants = {name: torch.tensor(array, device=device) for name, array in constants.items()}

    def run(self, batches: Batches) -> np.ndarray:
        """Train on all steps of `batches`; returns when done, with the losses: float64 (steps, losses)."""
        rows = part_of(self.layout, batches, self.part)
        with scope():
            tensors = {name: torch.from_numpy(array).to(self.device) for name, array in rows.items()}
            self.state, losses = self._run(self.state, tensors, self.constants)
        return losses.double().numpy(force=True)

    def params(self) -> np.ndarray:
        """The parameters so far, and the numbers learned beside them: (parameters,)."""
        return self.state.params.numpy(force=True)

    def slots(self) -> dict[str, np.ndarray]:
        """The optimizer's vectors so far, by name: (parameters,)."""
        return {name: slot.numpy(force=True) for name, slot in self.state.slots.items()}

    def tables(self) -> dict[str, dict[str, np.ndarray]]:
        """The lazily updated tables so far, and the optimizer's slots for them."""
        return {
            name: {
                table: array.numpy(force=True)[: self.layout.lazy[table].shape[0]] for table, array in tables.items()
            }
            for name, tables in self.state.tables.items()
        }

    def balance(self) -> dict[str, np.ndarray]:
        """What balancing keeps, so far, by name: (tasks,)."""
        return {name: numbers.numpy(force=True).copy() for name, numbers in self.state.balance.items()}
