"""The plan of a run: all that is known before its first step, checked and made once, and handed on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from backends.base import SharedBackend
from backends.layout import Layout, layout_of
from backends.trainer import Trainer
from shared_bottom.run.early_stopping import Monitor, check_stopping
from shared_bottom.run.processes import Processes
from shared_bottom.run.record import Snapshot
from spec.backend import FitRequest, ProgressMode
from spec.balancing import GradNorm
from spec.data import Dataset
from spec.machine import cores, memory_bytes
from spec.model import ModelSpec
from spec.params import check_params, initial_params, last_shared_parameters
from spec.training import Part, TrainSpec, learning_rates

STEP_BYTES = 64
"""What the learning rate of a step takes while it is computed."""


@dataclass(frozen=True, kw_only=True)
class Plan(FitRequest):
    """A request that was checked, and what follows from it: a run that may begin."""

    backend: SharedBackend
    processes: Processes
    part: Part
    """The rows of each batch that this process computes."""
    monitor: Monitor | None
    """What early stopping watches; None without it."""
    layout: Layout
    device: str
    """cpu or gpu."""
    learning_rates: np.ndarray
    """Of each step of the run: float64 (steps,)."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        return self.train.steps_per_epoch(self.data.rows)

    @property
    def initial(self) -> Mapping[str, np.ndarray]:
        """The parameters before the first step, in the training's precision: those of the request, or else those drawn
        from train.seed. They are drawn anew each time, so that a run does not hold them beside those that it trains.
        """
        if self.params is None:
            return initial_params(self.model, seed=self.train.seed, precision=self.train.precision)
        return {name: np.asarray(value, self.train.precision) for name, value in self.params.items()}

    def execution(self, start: Snapshot | None) -> str:
        """eager, step or epoch; "auto" is decided here."""
        if self.train.execution != "auto":
            return self.train.execution
        before = start.history.execution if start is not None and start.backend == self.backend.name else None
        if before in self.backend.executions(self.part):
            return before  # so that the run ends as if it had never stopped
        steps = len(self.learning_rates)
        return self.processes.first(lambda: self.backend.best_execution(self.model, self.train, steps))

    def threads_of(self, start: Snapshot | None) -> int | None:
        """Those that were asked for, or those of the run that goes on; None: the backend chooses, as it does where
        several processes divide the cores of a machine.
        """
        saved = start.history.threads if start is not None and start.backend == self.backend.name else None
        if self.threads is None and saved and self.processes.size == 1:
            return min(saved, len(cores()))
        return self.threads

    def parameters(self, start: Snapshot | None) -> Mapping[str, np.ndarray]:
        """Those at the run's beginning, or where `start` was taken."""
        return start.params if start else self.initial

    def trainer(self, execution: str, params: Mapping[str, np.ndarray], start: Snapshot | None) -> Trainer:
        """The backend's trainer with the parameters that `parameters` gave."""
        slots, balance = (start.slots, start.balance) if start else (None, None)
        return self.backend.trainer(self.model, self.train, params, execution, self.device, slots, balance, self.part)


def make_plan(backend: SharedBackend, request: FitRequest, processes: Processes) -> Plan:
    """Check what is asked for, and plan it. Raises ValueError as `spec.Backend.fit` says, before any work is done."""
    model, train, data, validation = request.model, request.train, request.data, request.validation
    check_progress(request.progress)
    check_on_epoch(request.on_epoch)
    backend.check_threads(request.threads)
    check_stopping(train, model.tasks, validation=validation is not None)
    device = backend.resolve_device(train.device)
    part = backend.part(device)
    backend.check_model(model)
    backend.check_training(train, train.execution, part)
    layout = layout_of(model, train.step_spec.lazy_batch, train.frozen)  # raises ValueError for what cannot be frozen
    check_balancing(model, train)
    data.check(model, precision=train.precision)
    if min(train.batch_size, data.rows) < part.of:
        expected = f"a row of each batch for each of the {part.of} devices that share it"
        raise ValueError(f"train.batch_size: expected {expected}, got {min(train.batch_size, data.rows)}")
    if validation is not None:
        validation.check(model, precision=train.precision)
        check_groups(model, validation)
    monitor = None
    if train.early_stopping is not None and validation is not None:
        monitor = Monitor(model, train.early_stopping, validation)
    if request.params is not None:
        check_params(model, request.params)
    return Plan(
        **vars(request),
        backend=backend,
        monitor=monitor,
        layout=layout,
        processes=processes,
        part=part,
        device=device,
        learning_rates=rates_of(train, train.epochs * train.steps_per_epoch(data.rows)),
    )


def check_groups(model: ModelSpec, validation: Dataset) -> None:
    """Raises ValueError if a metric needs the validation rows' groups and they have none."""
    for task in model.tasks:
        if task.grouped_metrics and validation.group is None:
            metric = f"{task.name}.{task.grouped_metrics[0]}"
            raise ValueError(f"group: expected that of each validation row for the metric {metric}, got none")


def rates_of(train: TrainSpec, steps: int) -> np.ndarray:
    """The learning rate of each step of the run: float64 (steps,). Raises ValueError if they do not fit into memory.

    Early stopping ends a run before its last epoch, but the schedule stretches over all of them.
    """
    message = f"train.epochs: expected steps whose learning rates fit into memory, got {train.epochs}, {steps:,} steps"
    if steps * STEP_BYTES > (memory_bytes() or math.inf):
        raise ValueError(message)
    try:
        return learning_rates(train, steps)
    except MemoryError as error:
        raise ValueError(message) from error


def check_balancing(model: ModelSpec, train: TrainSpec) -> None:
    """Raises ValueError if the balancing measures what the tasks share and there is nothing that training moves."""
    if isinstance(train.balancing, GradNorm) and not last_shared_parameters(model, train.frozen):
        raise ValueError(
            f"balancing: expected another than gradnorm with sharing {model.sharing.kind} and no shared kernels or "
            "embeddings that training moves, got gradnorm"
        )


def check_progress(progress: Any) -> None:
    """Raises ValueError for what is no way to show progress."""
    if progress not in get_args(ProgressMode):
        raise ValueError(f"progress: expected one of {', '.join(get_args(ProgressMode))}, got {progress!r}")


def check_on_epoch(on_epoch: Any) -> None:
    """Raises ValueError for what cannot be called after an epoch."""
    if on_epoch is not None and not callable(on_epoch):
        raise ValueError(f"on_epoch: expected a function of an epoch's record, or None, got {on_epoch!r}")
