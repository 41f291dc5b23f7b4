"""A run that one backend begins and the other ends: parameters, optimizer slots and the count of steps change hands."""

import functools

import numpy as np
import pytest

from backends.batches import BatchSource
from backends.layout import layout_of
from backends.trainer import params_of, slots_of
from shared_bottom.run.calls import epoch_calls
from spec import SGD, Adagrad, Adam, AdamW, RMSprop, TrainSpec, initial_params, learning_rates, load_backend
from tests.helpers.backends import each_way
from tests.helpers.parity import FEATURES, KINDS, RTOL, compare_params, example_data, example_model

STEPS = 24
MODEL = example_model(
    trunk=(6,), categorical=FEATURES[:2], tasks=KINDS["tied"][::3], normalization="layer", dropout=0.2
)
DATA = example_data(MODEL, 90, missing=True, weighted=True)
"""Five batches of 16 and one of 10 an epoch."""

OPTIMIZERS = {
    "sgd": SGD(learning_rate=0.05),
    "momentum": SGD(learning_rate=0.02, momentum=0.9),
    "nesterov": SGD(learning_rate=0.02, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": Adam(learning_rate=3e-3),
    "adamw": AdamW(learning_rate=3e-3, weight_decay=0.1),
    "adagrad": Adagrad(learning_rate=0.02, initial_accumulator=0.01),
    "rmsprop": RMSprop(learning_rate=1e-3),
    "rmsprop with momentum": RMSprop(learning_rate=1e-3, momentum=0.8),
}


def training(optimizer):
    return TrainSpec(optimizer=optimizer, clip_norm=1.0, batch_size=16, epochs=4, seed=6, precision="float64")


def batches(train):
    """The arrays of all 24 steps."""
    source = BatchSource(layout_of(MODEL), DATA, train.batch_size, train.precision)
    rates = learning_rates(train, STEPS)
    calls = [call for epoch in range(train.epochs) for call in epoch_calls(train, source, epoch, rates)]
    return {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}


def run(names, after, optimizer, forget=()):
    """Every step's losses and the end's state: the first `after` steps by one backend, the others by a second.

    forget: what is not handed over.
    """
    train = training(optimizer)
    arrays = batches(train)
    layout = layout_of(MODEL)
    state = {"params": initial_params(MODEL, seed=6, precision="float64")}
    losses = []
    for name, steps in zip(names, (slice(after), slice(after, None)), strict=False):
        if "count" in forget and losses:
            arrays["debias"][after:] = arrays["debias"][:-after].copy()
        given = {key: value for key, value in state.items() if key not in forget}
        backend = load_backend(name)
        trainer = backend.trainer(MODEL, train, execution=backend.lock_step, device="cpu", **given)
        losses.append(trainer.run({key: array[steps] for key, array in arrays.items()}))
        state = {"params": params_of(trainer, layout), "slots": slots_of(trainer, layout)}
    found = {f"step {step}": loss for step, loss in enumerate(np.concatenate(losses))}
    assert len(found) == STEPS
    assert tuple(state["slots"]) == optimizer.slots
    return (
        found
        | {"parameters": layout.to_vector(state["params"])}
        | {name: layout.to_vector(slot) for name, slot in state["slots"].items()}
    )


@functools.cache
def uninterrupted(name, optimizer):
    return run((name,), STEPS, optimizer)


@each_way
@pytest.mark.parametrize("after", [1, 11, STEPS - 1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_run_is_that_of_one_backend(optimizer, after, first, then):
    optimizer = OPTIMIZERS[optimizer]
    handed = run((first, then), after, optimizer)
    for alone in (first, then):
        compare_params(uninterrupted(alone, optimizer), handed, RTOL)


@each_way
@pytest.mark.parametrize(
    ("optimizer", "forget"),
    [(name, "slots") for name, optimizer in OPTIMIZERS.items() if optimizer.slots]
    + [("adam", "count"), ("adamw", "count")],
)
def test_what_is_not_handed_over_is_missed(optimizer, forget, first, then):
    optimizer = OPTIMIZERS[optimizer]
    alone, forgetful = uninterrupted(first, optimizer), run((first, then), 11, optimizer, forget=(forget,))
    with pytest.raises(AssertionError, match=r"^step 12\["):  # step 11 has the losses of before its update
        compare_params(alone, forgetful, RTOL)
