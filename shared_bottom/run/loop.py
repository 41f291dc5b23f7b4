"""The training loop: plan, batches, steps, record, save."""

import copy
import time
import warnings
from contextlib import ExitStack

import numpy as np

from backends.batches import BatchSource
from backends.trainer import Trainer
from shared_bottom.run.alike import check_alike
from shared_bottom.run.calls import SHORT_CALL, epoch_calls
from shared_bottom.run.metrics import Evaluation, UndefinedMetricWarning, predicted
from shared_bottom.run.plan import Plan
from shared_bottom.run.progress import Progress
from shared_bottom.run.record import Best, Record, Snapshot
from shared_bottom.run.saver import Saver
from shared_bottom.run.watcher import Watcher
from spec.flops import step_flops
from spec.params import frozen_parameters
from spec.results import Epoch, Fitted


def run_loop(plan: Plan, saver: Saver, watcher: Watcher) -> Fitted:
    """Train as planned. Raises DivergenceError and whatever `saver` raises when a signal came."""
    with ExitStack() as computing:
        trainer, record = begin(plan, saver.start(), computing)
        return run_epochs(plan, saver, watcher, trainer, record)


def begin(plan: Plan, start: Snapshot | None, computing: ExitStack) -> tuple[Trainer, Record]:
    """The trainer and the record at the run's beginning, or where `start` was taken, of which they keep no array.

    computing: what ends when the run does: that this thread computes with the run's number of threads.
    """
    flops = step_flops(plan.model, plan.train.batch_size) * plan.part.devices // plan.part.of
    threads = computing.enter_context(plan.backend.computing(plan.threads_of(start), flops))
    execution, params = plan.execution(start), plan.parameters(start)
    trainer = plan.trainer(execution, params, start)
    record = Record(
        plan.layout,
        plan.train,
        trainer,
        frozen={name: params[name].copy() for name in frozen_parameters(plan.model, plan.train.frozen)},
        execution=execution,
        device=plan.device,
        threads=threads,
        processes=plan.part.of,
        backend=plan.backend.name,
    )
    if start is not None:
        record.restore(start)
    return trainer, record


def run_epochs(plan: Plan, saver: Saver, watcher: Watcher, trainer: Trainer, record: Record) -> Fitted:
    """Train the epochs that are left."""
    train = plan.train
    source = BatchSource(plan.layout, plan.data, train.batch_size, train.precision)
    longest = None if record.execution == "epoch" else SHORT_CALL
    with saver:
        mode = plan.progress if plan.processes.is_first else "none"
        with Progress(mode, train, plan.layout, source.rows, record) as progress:
            watcher.begin(record, progress)
            for epoch in range(len(record.epochs), train.epochs):
                if patience_is_over(plan, record, epoch):
                    break
                began = time.perf_counter()
                calls = epoch_calls(train, source, epoch, plan.learning_rates, record.step, plan.save_every, longest)
                for batches in progress.track(calls):
                    with plan.processes.computing():
                        losses = trainer.run(batches)
                    record.add(losses)
                    if train.on_divergence == "stop":
                        record.check_finite(plan.learning_rates, saver.note())
                    saver.after_call(record)
                    watcher.after_call()
                entry = record.end_epoch(epoch, plan.steps_per_epoch)
                if plan.validation is not None:
                    validate(plan, record, entry)
                check_alike(plan.processes, record.fingerprints, f"after epoch {epoch + 1}")
                entry["seconds"] = time.perf_counter() - began
                record.epochs.append(entry)
                saver.after_epoch(record)
                watcher.after_epoch()
                if caller_has_enough(plan, entry):
                    break
        saver.end(record)
    params = record.best.params if record.best else record.params()
    return Fitted(params=params, history=record.history(), balance=record.balance())


def patience_is_over(plan: Plan, record: Record, epoch: int) -> bool:
    """Whether early stopping ends the run before `epoch` (from 0)."""
    best_epoch = record.best.epoch if record.best else 0
    return plan.monitor is not None and epoch - best_epoch >= plan.monitor.patience


def caller_has_enough(plan: Plan, entry: Epoch) -> bool:
    """Whether the caller's function, which process 0 alone calls, ends the run after this epoch.

    Only True does, since a function that was made for something else may return anything: `file.write` a number.
    """

    def answer() -> bool:
        returned = plan.on_epoch(copy.deepcopy(entry)) if plan.on_epoch else None
        return isinstance(returned, bool | np.bool) and bool(returned)

    return plan.processes.first(answer)


def validate(plan: Plan, record: Record, entry: Epoch) -> None:
    """Adds an epoch's metrics to its entry, and takes note of its weights if they are the best so far.

    They are computed by process 0, which tells the others, with the run's number of threads, so that a resumed run ends
    like one that never stopped.
    """
    assert plan.validation is not None

    def metrics() -> dict[str, dict[str, float]]:
        assert plan.validation is not None
        params = record.params(copy=False)
        pieces = predicted(plan.backend, plan.model, params, plan.validation, plan.train.device, record.threads)
        with warnings.catch_warnings():
            if entry["epoch"] > 1:  # an undefined metric says so once a run
                warnings.simplefilter("ignore", UndefinedMetricWarning)
            return Evaluation(plan.model, pieces).metrics()

    entry["metrics"] = plan.processes.first(metrics)
    if plan.monitor is None:
        return
    entry["monitor"] = value = plan.monitor.value(entry["metrics"])
    if plan.monitor.better(value, record.best.value if record.best else None):
        record.best = Best(epoch=entry["epoch"], step=record.step, value=value, params=record.params())
