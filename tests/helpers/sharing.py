"""Small problems for comparing ways of sharing, and the comparison itself."""

import numpy as np

from bench.sharing import __main__ as sharing
from bench.sharing.cases import Problem
from spec import Adam, Dataset, ModelSpec, TrainSpec, load_backend
from tests.helpers.builders import task

TRAIN = TrainSpec(optimizer=Adam(learning_rate=0.03), batch_size=20, epochs=8, device="cpu")
PAIR = (task(name="a"), task(name="b"))


def rows(count, width, seed):
    return np.random.default_rng(seed).standard_normal((count, width))


def problem(labels, *, width=2, trunk=(1,), tasks=PAIR, train=TRAIN):
    """labels: what the inputs (N, width) have, by task."""
    inputs, others = rows(200, width, 1), rows(300, width, 2)
    return Problem(
        name="made",
        rows_from="a test",
        model=ModelSpec(numeric=width, trunk=trunk, tasks=tasks, activation="tanh"),
        train=train,
        data=Dataset(numeric=inputs, labels=labels(inputs)),
        evaluated=Dataset(numeric=others, labels=labels(others)),
        evaluated_on="test",
    )


def apart(inputs):
    """Two targets that one unit cannot both tell of, the second one's loss by far the larger."""
    return {"a": inputs[:, 0], "b": 5 * inputs[:, 1]}


def studied(made, backend="jax", count=3, ways=None):
    options = sharing.Options(file="made.toml", backend=backend, seeds=count, ways=ways)
    run = sharing.begin(options, made, load_backend(backend))
    assert sharing.study(run, load_backend(backend), made, made.seeds(count)) is None
    return run
