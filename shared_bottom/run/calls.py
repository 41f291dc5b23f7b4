"""The rows of an epoch as the calls that the trainer gets, each with what its steps' numbers decide."""

from collections.abc import Iterator

import numpy as np

from backends.balancing import balancing_inputs
from backends.batches import Batches, BatchSource
from spec.data import row_order
from spec.random import step_key
from spec.training import TrainSpec, debias

SHORT_CALL = 32
"""Steps of a call at most where Python loops over them anyway: what waits for a call's end, a signal or the look at
its losses, need not wait long. To cut there changes no bit and next to no time. A scan is compiled for its length."""


def epoch_calls(
    train: TrainSpec,
    source: BatchSource,
    epoch: int,
    rates: np.ndarray,
    done: int = 0,
    save_every: int | None = None,
    longest: int | None = None,
) -> Iterator[Batches]:
    """The batches of an epoch (from 0), a call's worth at a time, each with what its steps' numbers decide.

    rates: the learning rate of each step of the run (steps,). done: steps of the run that are left out. save_every: no
    call goes beyond a multiple of it, counted from the epoch's start, so that a run is cut alike wherever it resumes.
    longest: steps of a call at most; without it, an epoch's as far as they stay within MAX_CALL_BYTES.
    """
    order = row_order(train.seed, epoch, source.rows) if train.shuffle else np.arange(source.rows)
    steps = train.steps_per_epoch(source.rows)
    size, between_saves = min(source.steps_per_call(), longest or steps), save_every or steps
    for save_start in range(0, steps, between_saves):
        end = min(save_start + between_saves, steps)
        for call_start in range(save_start, end, size):
            start, stop = max(call_start, done - epoch * steps), min(call_start + size, end)
            if start >= stop:
                continue
            batches = source.take(order[start * train.batch_size : stop * train.batch_size])
            numbers = np.arange(epoch * steps + start, epoch * steps + stop)
            batches["learning_rate"] = rates[numbers].astype(train.precision)
            batches["debias"] = debias(train.optimizer, numbers + 1).astype(train.precision)
            if source.layout.model.dropout:
                batches["dropout_key"] = step_key(train.seed, numbers)
            yield batches | balancing_inputs(train, source.layout, numbers, steps)
