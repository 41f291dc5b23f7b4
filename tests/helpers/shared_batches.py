"""Training runs that several processes, or several devices of one, draw as one process draws them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from spec import (
    PLE,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CategoricalFeature,
    Dataset,
    DynamicWeightAverage,
    EarlyStopping,
    Fitted,
    GradNorm,
    MMoE,
    ModelSpec,
    PCGrad,
    RMSprop,
    Schedule,
    TaskSpec,
    TrainSpec,
    UncertaintyWeighting,
    ZeroInflatedLognormal,
    load_backend,
    presets,
)
from tests.helpers.lazy import FEATURES
from tests.helpers.parity import RTOL, compare_curves, compare_params, example_data

MODEL = ModelSpec(
    numeric=4,
    categorical=(CategoricalFeature(name="size", vocabulary=4, dimension=2),),
    trunk=(6,),
    tasks=(
        TaskSpec(name="click", kind="binary", hidden=(5,)),
        TaskSpec(name="region", kind="multiclass", outputs=4, weight=1.5),
        TaskSpec(name="buy", kind="binary", hidden=(5,), weight=3.0),
    ),
    activation="tanh",
)
"""Two of the heads are tied, and stand apart. Few layers: what compiling takes long for is their number."""
CONDITIONAL = (
    MODEL.tasks[0],
    TaskSpec(name="value", kind="regression", loss=ZeroInflatedLognormal(), weight=0.5),
    TaskSpec(name="buy", kind="binary", hidden=(5,), given="click"),
)
QUERY, _, PLACE, TITLE, *_ = FEATURES
LAZY = (QUERY, PLACE, TITLE)
"""Lists of ids. Two share a table that is lazily updated, and one looks up a frozen one."""
TRAIN = TrainSpec(batch_size=7, epochs=28, seed=3, precision="float64", device="cpu")
ROWS = 74
"""An epoch has ten batches of 7 rows, 4 and 3 of two processes, and one of 4, of which one has none. 308 steps."""

QUICKEST = {"torch": "eager", "jax": "epoch"}
"""The execution of each backend that ends such a run first."""

Run = tuple[str, str]
"""An execution and the name of a case."""


@dataclass(frozen=True)
class Case:
    """The arguments of `fit`."""

    model: ModelSpec
    train: TrainSpec
    data: Dataset
    validation: Dataset | None = None

    @property
    def steps(self) -> int:
        """Those of all epochs."""
        return self.train.epochs * self.train.steps_per_epoch(self.data.rows)

    def fit(self, backend: str, execution: str, **options) -> Fitted:
        """The run, in this process or with those that were started with it."""
        train = replace(self.train, execution=execution)
        return load_backend(backend).fit(self.model, train, self.data, self.validation, **options)


def case(validation=False, train=TRAIN, model=MODEL, **fields) -> Case:
    """With missing labels, and with weights of rows, some of them 0. `fields` are the training's or the model's."""
    own = {name: fields.pop(name) for name in list(fields) if hasattr(model, name)}
    model, train = replace(model, **own), replace(train, **fields)
    data, held_out = (example_data(model, rows, missing=True, weighted=True, seed=rows) for rows in (ROWS, 40))
    return Case(model, train, data, held_out if validation else None)


CASES = {
    "tutorial": Case(
        presets.tutorial_model(),
        replace(presets.tutorial_training(), precision="float64", device="cpu"),
        presets.tutorial_data(),
    ),
    "sgd, uncertainty, clipped, partly frozen": case(
        optimizer=SGD(learning_rate=0.02, momentum=0.9, nesterov=True),
        balancing=UncertaintyWeighting(initial_log_variance=0.3),
        clip_norm=0.5,
        frozen=("embeddings", "tasks.click"),
    ),
    "adam, weight average, dropout, early stopping": case(
        validation=True,
        optimizer=Adam(learning_rate=3e-3),
        balancing=DynamicWeightAverage(temperature=0.7),
        dropout=0.25,
        early_stopping=EarlyStopping(patience=28),
    ),
    "adamw, gradnorm, layer norm": case(
        optimizer=AdamW(learning_rate=1e-3, weight_decay=0.1),
        balancing=GradNorm(alpha=0.8, learning_rate=0.05),
        schedule=Schedule(kind="cosine", warmup_steps=30),
        normalization="layer",
    ),
    "adagrad, projected, dropout": case(optimizer=Adagrad(learning_rate=0.02), balancing=PCGrad(), dropout=0.25),
    "rmsprop, lazy": case(
        optimizer=RMSprop(learning_rate=5e-4, momentum=0.8), embedding_updates="lazy", categorical=LAZY
    ),
    "lazy with all else": case(
        optimizer=AdamW(learning_rate=3e-3),
        balancing=GradNorm(),
        clip_norm=0.5,
        embedding_updates="lazy",
        categorical=LAZY,
        dropout=0.25,
        normalization="layer",
    ),
    "mmoe, gradnorm, conditional": case(
        balancing=GradNorm(alpha=0.8, learning_rate=0.05), sharing=MMoE(experts=2), tasks=CONDITIONAL
    ),
    "ple, projected, dropout": case(
        optimizer=Adam(learning_rate=3e-3),
        balancing=PCGrad(),
        sharing=PLE(shared_experts=1, task_experts=1, levels=2),
        dropout=0.25,
    ),
    "dropout, uncertainty": case(
        balancing=UncertaintyWeighting(),
        dropout=0.25,
        categorical=(),
        tasks=tuple(replace(task, hidden=()) for task in MODEL.tasks[::2]),
    ),
}
"""The original example: 31 batches of 32 rows and one of 8 an epoch, 320 steps. In the others, some batches have labels
of a task in one half of their rows alone."""


def fit_all(backend: str, runs: Iterable[Run]) -> dict[Run, Fitted]:
    """The runs, in this process or with those that were started with it."""
    return {(execution, name): CASES[name].fit(backend, execution) for execution, name in runs}


def assert_one_curve(fitted: Fitted, alone: Fitted) -> None:
    """A run is that of one process: losses, factors, parameters, balance, metrics of each epoch, the best of them."""
    compare_curves(fitted.history, alone.history, RTOL)
    compare_params(fitted.params, alone.params, RTOL)
    compare_params(fitted.balance, alone.balance, RTOL)
    assert fitted.history.best_epoch == alone.history.best_epoch
    for ours, theirs in zip(fitted.history.epochs, alone.history.epochs, strict=True):
        assert ours.keys() == theirs.keys()
        for task, metrics in ours.get("metrics", {}).items():
            np.testing.assert_allclose(list(metrics.values()), list(theirs["metrics"][task].values()), rtol=RTOL)
