"""The training loop, once for every backend: epochs, batches, history, metrics."""

import time
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.batches import Batches, BatchSource
from backends.layout import layout_of
from backends.metrics import UndefinedMetricWarning, evaluate
from backends.progress import Progress
from spec.data import Dataset, row_order
from spec.model import ModelSpec
from spec.params import check_params, initial_params
from spec.random import step_key
from spec.results import Fitted, History
from spec.training import TrainSpec, learning_rates

if TYPE_CHECKING:
    from backends.base import SharedBackend


def fit(
    backend: "SharedBackend",
    model: ModelSpec,
    train: TrainSpec,
    data: Dataset,
    validation: Dataset | None = None,
    params: Mapping[str, np.ndarray] | None = None,
) -> Fitted:
    """Train `model` on `data`: see `spec.Backend.fit`."""
    data.check(model, precision=train.precision)
    if validation is not None:
        validation.check(model, precision=train.precision)
    if params is None:
        params = initial_params(model, seed=train.seed, precision=train.precision)
    check_params(model, params)
    layout, device = layout_of(model), backend.resolve_device(train.device)
    total_steps = train.epochs * train.steps_per_epoch(data.rows)
    execution = backend.best_execution(model, train, total_steps) if train.execution == "auto" else train.execution
    start = layout.pack(params).astype(train.precision)
    trainer = backend.trainer(model, train, start, execution, device)
    source = BatchSource(layout, data, train.batch_size, train.precision)
    rates = learning_rates(train, total_steps)

    curves: list[np.ndarray] = []
    epochs: list[dict[str, Any]] = []
    with Progress(train, source.rows) as progress:
        for epoch in range(train.epochs):
            began = time.perf_counter()
            losses = [trainer.run(batches) for batches in progress.track(epoch_calls(train, source, epoch, rates))]
            curves += losses
            entry = _epoch_entry(epoch, np.concatenate(losses), [task.name for task in layout.tasks])
            if validation is not None:
                predictions = backend.predict(model, layout.unpack(trainer.params()), validation, device=train.device)
                with warnings.catch_warnings():
                    if epoch:  # an undefined metric says so once a run
                        warnings.simplefilter("ignore", UndefinedMetricWarning)
                    entry["metrics"] = evaluate(model, predictions, validation)
            epochs.append(entry | {"seconds": time.perf_counter() - began})
            progress.epoch(entry)

    curve = np.concatenate(curves)
    task_loss = {task.name: curve[:, 1 + i] for i, task in enumerate(layout.tasks)}
    history = History(
        execution=execution,
        device=device,
        step_loss=curve[:, 0],
        task_loss={task.name: task_loss[task.name] for task in model.tasks},
        epochs=epochs,
    )
    return Fitted(params=layout.unpack(trainer.params()), history=history)


def epoch_calls(train: TrainSpec, source: BatchSource, epoch: int, rates: np.ndarray) -> Iterator[Batches]:
    """The batches of an epoch (from 0), a call's worth at a time, each with its steps' learning rates and keys.

    rates: the learning rate of each step of the run (steps,).
    """
    order = row_order(train.seed, epoch, source.rows) if train.shuffle else np.arange(source.rows)
    steps = train.steps_per_epoch(source.rows)
    for start in range(0, steps, size := source.steps_per_call()):
        rows = order[start * train.batch_size : (start + size) * train.batch_size]
        batches = source.take(rows)
        first = epoch * steps + start
        span = np.arange(first, first + len(batches["shares.0"]))
        batches["learning_rate"] = rates[span].astype(train.precision)
        if source.layout.model.dropout:
            batches["dropout_key"] = step_key(train.seed, span)
        yield batches


def _epoch_entry(epoch: int, losses: np.ndarray, tasks: list[str]) -> dict[str, Any]:
    total, *own = losses.mean(axis=0).tolist()
    return {"epoch": epoch + 1, "loss": total, "task_loss": dict(zip(tasks, own, strict=True))}
