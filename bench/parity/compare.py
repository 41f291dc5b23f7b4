"""Both backends train in lock step, and every step is compared."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from backends.balancing import balance_of
from backends.base import SharedBackend
from backends.batches import Batches, BatchSource, constants
from backends.layout import layout_of
from backends.trainer import params_of
from bench.case import Case
from bench.parity.report import Report
from shared_bottom.run.calls import epoch_calls
from spec import initial_params, learning_rates


def compare_backends(case: Case, backends: list[SharedBackend], steps: int, tolerance: float) -> Report:
    """Train `steps` steps of the case in both backends, and compare losses, gradients and parameters at each.

    The gradient is that of the total loss by the tasks' own weights; what balancing makes of it shows in the
    parameters, and what it learns and keeps is compared as well.
    """
    step_spec = case.train.step_spec
    layout, dense = layout_of(case.model, step_spec.lazy_batch, step_spec.frozen), layout_of(case.model)
    dense_case = dataclasses.replace(case, train=dataclasses.replace(case.train, embedding_updates="dense"))
    params = initial_params(case.model, seed=case.train.seed, precision=case.train.precision)
    trainers = [backend.trainer(case.model, case.train, params, backend.lock_step, "cpu") for backend in backends]
    report = Report(backends=[backend.name for backend in backends], tolerance=tolerance)
    before, names = [params, params], ["total", *(task.name for task in layout.tasks)]
    pairs = zip(single_steps(case, steps), single_steps(dense_case, steps), strict=True)
    for step, (batches, with_ids) in enumerate(pairs):
        batch = {name: np.asarray(array[0]) for name, array in with_ids.items()} | constants(dense, params)
        gradients = [
            dense.to_params(backend.loss_and_gradient(case.model, dense.to_vector(now), batch, "cpu")[1])
            for backend, now in zip(backends, before, strict=True)
        ]
        losses = [trainer.run(batches)[0] for trainer in trainers]
        before = [params_of(trainer, layout, params) for trainer in trainers]
        report.losses.append([loss[: len(names)].tolist() for loss in losses])
        for i, name in enumerate(names):
            report.compare(f"loss {name}", step, "", losses[0][i], losses[1][i])
        balances = [balance_of(layout, case.train, trainer) for trainer in trainers]
        for quantity, arrays in (("gradient", gradients), ("parameter", before), ("balance", balances)):
            for name in arrays[0]:
                report.compare(quantity, step, name, arrays[0][name], arrays[1][name])
    return report


def single_steps(case: Case, steps: int) -> Iterator[Batches]:
    """The first `steps` steps of the case's run, one at a time; its epochs go on as long as it takes."""
    train = case.train
    layout = layout_of(case.model, train.step_spec.lazy_batch, train.frozen)
    source = BatchSource(layout, case.read(), train.batch_size, train.precision)
    per_epoch = train.steps_per_epoch(source.rows)
    train = dataclasses.replace(train, epochs=max(train.epochs, -(-steps // per_epoch)))
    rates = learning_rates(train, train.epochs * per_epoch)
    done = 0
    for epoch in range(train.epochs):
        for batches in epoch_calls(train, source, epoch, rates):
            for i in range(len(batches["learning_rate"])):
                if done == steps:
                    return
                yield {name: array[i : i + 1] for name, array in batches.items()}
                done += 1
