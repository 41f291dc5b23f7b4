"""Small networks that share in every way, with a task of every loss."""

from dataclasses import replace

import numpy as np

from spec import (
    PLE,
    Absolute,
    CategoricalFeature,
    CrossEntropy,
    Dataset,
    Huber,
    LogLoss,
    MMoE,
    ModelSpec,
    Poisson,
    Quantile,
    Separate,
    SharedBottom,
    Squared,
    TaskSpec,
    ZeroInflatedLognormal,
)
from tests.helpers.parity import FEATURES, example_data

SHARINGS = {
    "shared bottom": SharedBottom(),
    "separate": Separate(),
    "mmoe": MMoE(experts=3),
    "mmoe of one expert": MMoE(experts=1),
    "ple": PLE(shared_experts=2, task_experts=1),
    "ple of 3 levels": PLE(shared_experts=1, task_experts=2, levels=3),
}

FOCAL = LogLoss(positive_weight=2.5, label_smoothing=0.1, focal_gamma=1.5)
CLICK = TaskSpec(name="click", kind="binary", hidden=(4,))
TASKS: dict[str, tuple[TaskSpec, ...]] = {
    "defaults": (
        CLICK,
        TaskSpec(name="span", kind="regression", hidden=(4,), outputs=2, weight=0.5, loss=Squared()),
        TaskSpec(name="region", kind="multiclass", outputs=3, weight=1.5),
        TaskSpec(name="like", kind="binary", hidden=(4,), weight=3.0),
    ),
    "conditional": (
        TaskSpec(name="buy", kind="binary", hidden=(4,), given="cart", loss=FOCAL),
        CLICK,
        TaskSpec(name="cart", kind="binary", hidden=(4,), given="click", weight=2.0),
        TaskSpec(name="price", kind="regression", loss=Absolute()),
    ),
    "options": (
        replace(CLICK, loss=FOCAL),
        TaskSpec(
            name="region",
            kind="multiclass",
            outputs=3,
            loss=CrossEntropy(class_weights=(0.5, 2.0, 1.0), label_smoothing=0.2),
        ),
        TaskSpec(name="span", kind="regression", outputs=2, loss=Huber(delta=0.6)),
    ),
    "amounts": (
        TaskSpec(name="count", kind="regression", hidden=(4,), outputs=2, loss=Poisson()),
        TaskSpec(name="delay", kind="regression", loss=Quantile(levels=(0.1, 0.5, 0.75))),
        TaskSpec(name="value", kind="regression", hidden=(4,), loss=ZeroInflatedLognormal(), weight=0.5),
    ),
}
"""By what they show. The first and the last of the defaults are tied and stand apart; of three probabilities each is
given the one before; every option of a loss; every loss of amounts."""


def model_of(way: str, tasks: str = "defaults", **fields) -> ModelSpec:
    """A network of numbers and two features of unlike dimensions, with two layers in each expert."""
    own = {"numeric": 3, "categorical": FEATURES[:2], "trunk": (5, 4), "tasks": TASKS[tasks], "sharing": SHARINGS[way]}
    return ModelSpec(**(own | fields))


SMALL: dict[str, object] = {
    "numeric": 2,
    "categorical": (CategoricalFeature(name="colour", vocabulary=2, dimension=1),),
    "trunk": (3, 3),
    "activation": "tanh",
}
"""Fields of a network with so few parameters that a step along each is cheap."""


def data_of(model: ModelSpec, rows: int, *, missing: bool = True, weighted: bool = True, seed: int = 0) -> Dataset:
    """Random rows, in which a task is true only where the one that it is given is."""
    data = example_data(model, rows, missing=missing, weighted=weighted, seed=seed)
    labels, tasks = dict(data.labels), {task.name: task for task in model.tasks}
    for task in sorted(model.tasks, key=lambda task: depth(tasks, task)):
        if task.given:
            given = labels[task.given]
            labels[task.name] = np.where(given == 0, np.minimum(labels[task.name], 0.0), labels[task.name])
    return replace(data, labels=labels)


def depth(tasks: dict[str, TaskSpec], task: TaskSpec) -> int:
    return 0 if task.given is None else 1 + depth(tasks, tasks[task.given])
