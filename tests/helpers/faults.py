"""Faults for one backend: each is planted through a seam (a spec, a batch, a function looked up by name)."""

import functools
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from backends.jax import steps as jax_steps
from backends.torch import steps as torch_steps
from spec import Adam, TrainSpec, load_backend
from tests.helpers.parity import example_data, example_model

RTOL = 1e-9
EXECUTIONS = {"torch": "eager", "jax": "epoch"}
CACHES = [torch_steps.compiled_run, jax_steps.compiled_run, jax_steps.make_gradient]

MODEL = example_model("tied", trunk=(8, 8))
TRAIN = TrainSpec(
    optimizer=Adam(learning_rate=3e-3), batch_size=16, epochs=15, seed=4, precision="float64", device="cpu"
)


def rows_of(model):
    """Three batches of 16 and one of 12 an epoch: 60 steps."""
    return example_data(model, 60, missing=True, weighted=True)


DATA = rows_of(MODEL)


def run(name, model=MODEL, train=TRAIN, data=None, params=None):
    train = replace(train, execution=EXECUTIONS[name])
    return load_backend(name).fit(model, train, data or rows_of(model), params=params)


@functools.cache
def healthy(name, model, train):
    """A run without a fault, computed once for all the faults that it is compared with."""
    return run(name, model, train)


@contextmanager
def fresh_runs():
    """No network or compiled step of before is used inside, and none of inside is used afterwards."""
    for cache in CACHES:
        cache.cache_clear()
    try:
        yield
    finally:
        for cache in CACHES:
            cache.cache_clear()


@dataclass
class Fault:
    """`plant` patches one backend, or gives the arguments of its `fit` that differ."""

    side: str
    step: int
    plant: Callable[[pytest.MonkeyPatch], dict | None]
    model: dict | None = None
    train: dict | None = None
    where: str = ""
    """The task that the message names, where it is known."""
