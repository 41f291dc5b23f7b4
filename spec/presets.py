"""Networks, training runs and rows by name: the tutorial example, related tasks, census, wide."""

import math

import numpy as np

from spec.data import Dataset
from spec.data import random_data as random_data
from spec.model import CategoricalFeature, ModelSpec
from spec.optimizers import Adam
from spec.sharing import MMoE, SharedBottom, Sharing
from spec.tasks import TaskSpec
from spec.training import Schedule, TrainSpec


def tutorial_model() -> ModelSpec:
    """The original example: 10 inputs, a shared bottom of 64-32-16, two regression tasks of 3 and 2 outputs."""
    return ModelSpec(
        numeric=10,
        trunk=(64, 32, 16),
        tasks=(
            TaskSpec(name="task_a", kind="regression", hidden=(32,), outputs=3),
            TaskSpec(name="task_b", kind="regression", hidden=(32,), outputs=2),
        ),
    )


def tutorial_training() -> TrainSpec:
    """The original example: Adam at 1e-3, batches of 32, 10 epochs."""
    return TrainSpec(optimizer=Adam(learning_rate=1e-3), batch_size=32, epochs=10, seed=42)


def tutorial_data(rows: int = 1000, *, seed: int = 42) -> Dataset:
    """Standard-normal inputs and targets, as in the original example: there is nothing to learn but the noise."""
    return random_data(tutorial_model(), rows, seed=seed)


RELATED_INPUTS = 100
"""d of `related_tasks_data`."""
RELATED_SINES = ((1.0, 0.0), (2.0, 0.5))
"""α_i and β_i of each of its sines."""
RELATED_NOISE = 0.1
"""The standard deviation of its ε."""


def related_tasks_data(correlation: float, rows: int, *, seed: int = 0) -> Dataset:
    """Two regression tasks that are related as closely as asked  (Ma et al., KDD 2018, section 3.3, eq. 2 to 4).

      y_k = w_k·x + Σ_i sin(α_i·w_k·x + β_i) + ε_k,   x ~ N(0, I) in d dimensions,   ε_k ~ N(0, 0.01)
      w_1 = u_1,   w_2 = p·u_1 + √(1-p²)·u_2,   with random orthogonal unit vectors u_1 and u_2

    correlation: p, the cosine of both tasks' weights, from -1 to 1.
    seed: where the tasks and the rows come from: numeric float32 (rows, d), labels float64 (rows, 1) of one and two.

    The paper leaves the scale of the weights, α and β open; here they are 1, RELATED_SINES and RELATED_SINES.
    Raises ValueError for another correlation.
    """
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation: expected a number from -1 to 1, got {correlation}")
    draw = np.random.default_rng(seed)
    u = np.linalg.qr(draw.standard_normal((RELATED_INPUTS, 2))).Q
    mixing = np.array([[1.0, correlation], [0.0, math.sqrt(1.0 - correlation**2)]])
    x = draw.standard_normal((rows, RELATED_INPUTS), dtype=np.float32)
    along = x @ (u @ mixing)  # w_k·x: (rows, tasks)
    y = along + RELATED_NOISE * draw.standard_normal(along.shape)
    for alpha, beta in RELATED_SINES:
        y += np.sin(alpha * along + beta)
    return Dataset(numeric=x, labels={"one": y[:, :1], "two": y[:, 1:]})


def related_tasks_models() -> dict[str, ModelSpec]:
    """The networks of that experiment (section 4.2 there), by way of sharing: layers and experts of one hidden layer.

    Both have about as many parameters, gates and biases counted: 14,776 and 14,818. (The paper leaves these out, and
    so has 113 units in the Shared-Bottom network's layer instead of 126.)
    """

    def model(width: int, sharing: Sharing) -> ModelSpec:
        heads = tuple(TaskSpec(name=name, kind="regression", hidden=(8,)) for name in ("one", "two"))
        return ModelSpec(numeric=RELATED_INPUTS, trunk=(width,), tasks=heads, sharing=sharing)

    return {"shared_bottom": model(126, SharedBottom()), "mmoe": model(16, MMoE(experts=8))}


def related_tasks_training() -> TrainSpec:
    """Adam at 1e-3, batches of 64, each row once: the loss of every step is one on rows that were never seen."""
    return TrainSpec(optimizer=Adam(learning_rate=1e-3), batch_size=64, epochs=1, shuffle=False)


def census_model(vocabularies: dict[str, int], *, numeric: int = 7) -> ModelSpec:
    """Census-Income (KDD) as in Ma et al., KDD 2018, group 1: income above 50,000 and never married.

    vocabularies: number of ids by categorical column, "unknown" included.
    """
    return ModelSpec(
        numeric=numeric,
        categorical=tuple(
            CategoricalFeature(name=name, vocabulary=size, dimension=8) for name, size in vocabularies.items()
        ),
        trunk=(256, 128),
        tasks=(
            TaskSpec(name="income", kind="binary", hidden=(64,)),
            TaskSpec(name="never_married", kind="binary", hidden=(64,)),
        ),
        normalization="layer",
    )


def census_training() -> TrainSpec:
    """Adam at 1e-3 falling linearly to 0, batches of 1,024, 6 epochs."""
    return TrainSpec(
        optimizer=Adam(learning_rate=1e-3), schedule=Schedule(kind="linear"), batch_size=1024, epochs=6, seed=42
    )


def wide_model() -> ModelSpec:
    """A network whose time goes into matrix products: 512 inputs, trunk 1024-512-256, two heads of 128."""
    return ModelSpec(
        numeric=512,
        trunk=(1024, 512, 256),
        tasks=(
            TaskSpec(name="rating", kind="regression", hidden=(128,)),
            TaskSpec(name="watch_time", kind="regression", hidden=(128,)),
        ),
    )


def wide_training() -> TrainSpec:
    """Adam at 1e-3, batches of 4,096, one epoch."""
    return TrainSpec(optimizer=Adam(learning_rate=1e-3), batch_size=4096, epochs=1, seed=42)
