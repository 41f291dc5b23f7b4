"""The training loop, once for every backend: epochs, batches, metrics, and what may end a run."""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backends.balancing import balancing_inputs
from backends.batches import Batches, BatchSource
from backends.checkpoints import CheckpointFolder
from backends.early_stopping import Monitor
from backends.identity import identify
from backends.layout import layout_of
from backends.metrics import UndefinedMetricWarning, evaluate
from backends.progress import Progress, check_progress
from backends.saving import Saver, check_options
from backends.state import Best, State
from spec.backend import ProgressMode
from spec.data import Dataset, row_order
from spec.model import ModelSpec
from spec.params import check_params, initial_params
from spec.random import step_key
from spec.results import Epoch, Fitted
from spec.training import TrainSpec, debias, learning_rates

if TYPE_CHECKING:
    from backends.base import SharedBackend

SHORT_CALL = 32
"""Steps of a call at most where Python loops over them anyway: what waits for a call's end, a signal or the look at
its losses, need not wait long. To cut there changes no bit and next to no time. A scan is compiled for its length."""


def fit(
    backend: "SharedBackend",
    model: ModelSpec,
    train: TrainSpec,
    data: Dataset,
    validation: Dataset | None = None,
    params: Mapping[str, np.ndarray] | None = None,
    *,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    keep: int = 3,
    resume: bool = False,
    progress: ProgressMode = "auto",
) -> Fitted:
    """Train `model` on `data`: see `spec.Backend.fit`."""
    check_options(checkpoint, save_every, keep, resume)
    check_progress(progress)
    data.check(model, precision=train.precision)
    if validation is not None:
        validation.check(model, precision=train.precision)
    monitor = None if train.early_stopping is None else Monitor(model, train.early_stopping, validation)
    initial = initial_params(model, seed=train.seed, precision=train.precision) if params is None else params
    check_params(model, initial)
    layout, device = layout_of(model), backend.resolve_device(train.device)
    steps = train.steps_per_epoch(data.rows)
    rates = learning_rates(train, train.epochs * steps)

    with ExitStack() as stack:
        saver, saved = None, None
        if checkpoint is not None:
            folder = stack.enter_context(CheckpointFolder(Path(checkpoint), keep))
            saver = Saver(folder, identify(model, train, data, validation, initial), steps, save_every)
            saved = saver.start(resume=resume, any_start=params is None)
        execution: str = train.execution
        if execution == "auto" and saved and saved.backend == backend.name:
            execution = saved.history.execution  # so that it ends as if it had never stopped
        elif execution == "auto":
            execution = backend.best_execution(model, train, len(rates))
        most = None if execution == "epoch" else SHORT_CALL
        vector = layout.pack(saved.params if saved else initial).astype(train.precision)
        slots = {name: layout.pack(slot) for name, slot in saved.slots.items()} if saved else None
        trainer = backend.trainer(model, train, vector, execution, device, slots, saved.balance if saved else None)
        state = State(backend, layout, train, trainer, execution, device, saved)
        source = BatchSource(layout, data, train.batch_size, train.precision)
        if saver:
            stack.enter_context(saver)
        with Progress(progress, train, layout, source.rows, state) as shown:
            for epoch in range(len(state.epochs), train.epochs):
                if monitor and epoch - (state.best.epoch if state.best else 0) >= monitor.patience:
                    break
                began = time.perf_counter()
                calls = epoch_calls(train, source, epoch, rates, state.step, save_every, most)
                for batches in shown.track(calls):
                    state.add(trainer.run(batches))
                    if train.on_divergence == "stop":
                        state.check_finite(rates, saver.note() if saver else "")
                    if saver:
                        saver.after_call(state)
                entry = state.end_epoch(epoch, steps)
                if validation is not None:
                    _validate(backend, model, train, validation, state, monitor, entry)
                entry["seconds"] = time.perf_counter() - began
                state.epochs.append(entry)
                if saver:
                    saver.after_epoch(state)
        if saver:
            saver.end(state)
    params = state.best.params if state.best else state.params()
    return Fitted(params=params, history=state.history(), balance=state.balance())


def _validate(
    backend: "SharedBackend",
    model: ModelSpec,
    train: TrainSpec,
    validation: Dataset,
    state: State,
    monitor: Monitor | None,
    entry: Epoch,
) -> None:
    """Adds an epoch's metrics to its entry, and takes note of its weights if they are the best so far."""
    params = state.params()
    predictions = backend.predict(model, params, validation, device=train.device)
    with warnings.catch_warnings():
        if entry["epoch"] > 1:  # an undefined metric says so once a run
            warnings.simplefilter("ignore", UndefinedMetricWarning)
        entry["metrics"] = evaluate(model, predictions, validation)
    if monitor is None:
        return
    entry["monitor"] = value = monitor.value(entry["metrics"])
    if monitor.better(value, state.best.value if state.best else None):
        state.best = Best(epoch=entry["epoch"], step=state.step, value=value, params=params)


def epoch_calls(
    train: TrainSpec,
    source: BatchSource,
    epoch: int,
    rates: np.ndarray,
    done: int = 0,
    save_every: int | None = None,
    most: int | None = None,
) -> Iterator[Batches]:
    """The batches of an epoch (from 0), a call's worth at a time, each with what its steps' numbers decide.

    rates: the learning rate of each step of the run (steps,). done: steps of the run that are left out. save_every: no
    call goes beyond a multiple of it, counted from the epoch's start, so that a run is cut alike wherever it resumes.
    most: steps of a call at most; without it, an epoch's as far as they stay within MAX_CALL_BYTES.
    """
    order = row_order(train.seed, epoch, source.rows) if train.shuffle else np.arange(source.rows)
    steps = train.steps_per_epoch(source.rows)
    size, every = min(source.steps_per_call(), most or steps), save_every or steps
    for part in range(0, steps, every):
        end = min(part + every, steps)
        for start in range(part, end, size):
            start, stop = max(start, done - epoch * steps), min(start + size, end)
            if start >= stop:
                continue
            batches = source.take(order[start * train.batch_size : stop * train.batch_size])
            span = np.arange(epoch * steps + start, epoch * steps + stop)
            batches["learning_rate"] = rates[span].astype(train.precision)
            batches["debias"] = debias(train.optimizer, span + 1).astype(train.precision)
            if source.layout.model.dropout:
                batches["dropout_key"] = step_key(train.seed, span)
            yield batches | balancing_inputs(train, source.layout, span, steps)
