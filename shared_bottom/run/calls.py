"""The rows of an epoch as the calls that the trainer gets, each with what its steps' numbers decide.

Rows are gathered for as many calls at once as stay within MAX_CALL_BYTES: rows in a file are gathered by one walk
through it, whether the trainer takes many steps a call or few.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from backends.balancing import balancing_inputs
from backends.batches import Batches, BatchSource
from spec.data import row_order
from spec.optimizers import debias
from spec.random import step_key
from spec.training import TrainSpec

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
    steps, most = train.steps_per_epoch(source.rows), source.steps_per_call()
    size, between_saves = min(most, longest or steps), save_every or steps
    calls = [
        range(max(start, done - epoch * steps), min(start + size, save_start + between_saves, steps))
        for save_start in range(0, steps, between_saves)
        for start in range(save_start, min(save_start + between_saves, steps), size)
    ]
    for together in in_groups([call for call in calls if call], most):
        first = together[0].start
        gathered = source.take(order[first * train.batch_size : together[-1].stop * train.batch_size])
        for call in together:
            batches = {name: array[call.start - first : call.stop - first] for name, array in gathered.items()}
            numbers = np.arange(epoch * steps + call.start, epoch * steps + call.stop)
            batches["learning_rate"] = rates[numbers].astype(train.precision)
            batches["debias"] = debias(train.optimizer, numbers + 1).astype(train.precision)
            if source.layout.model.dropout:
                batches["dropout_key"] = step_key(train.seed, numbers)
            yield batches | balancing_inputs(train, source.layout, numbers, steps)


def in_groups(calls: Iterable[range], most: int) -> Iterator[list[range]]:
    """Calls, which are ranges of steps, in groups of at most `most` steps whose rows are gathered at once."""
    group: list[range] = []
    for call in calls:
        if group and call.stop - group[0].start > most:
            yield group
            group = []
        group.append(call)
    if group:
        yield group
