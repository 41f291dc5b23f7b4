"""What parity means here, and the networks that show it.

A comparison raises AssertionError and names the first step, or the first parameter in network order, that differs. NaN
equals nothing, shapes must be the same, and every element counts by itself: differences cannot cancel.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spec import CategoricalFeature, Dataset, Fitted, History, ModelSpec, TaskSpec, TrainSpec, load_backend, presets

RTOL, WITHIN, PARAMS_RTOL = 1e-9, 1e-12, 1e-8
"""Of two backends' curves, of two executions' of one backend, and of parameters after training."""


def compare_curves(a: History, b: History, rtol: float) -> None:
    """Every step's total loss, every task's and its weight differ by `rtol` of the larger at most."""
    if list(a.task_loss) != list(b.task_loss):
        raise AssertionError(f"tasks: {list(a.task_loss)} and {list(b.task_loss)}")
    curves = {name: (a.task_loss[name], b.task_loss[name]) for name in a.task_loss}
    curves["total"] = (a.step_loss, b.step_loss)
    curves |= {f"weight of {name}": (a.task_weight[name], b.task_weight[name]) for name in a.task_weight}
    for name, (x, y) in curves.items():
        if x.shape != y.shape or x.ndim != 1 or not len(x):
            raise AssertionError(f"{name}: expected two curves of one length, got shapes {x.shape} and {y.shape}")
    if len({x.shape for x, _ in curves.values()}) != 1:
        raise AssertionError(f"curves of unlike lengths: { {name: x.shape for name, (x, _) in curves.items()} }")
    differs = np.stack([_differs(x, y, rtol * np.maximum(np.abs(x), np.abs(y))) for x, y in curves.values()], axis=1)
    if differs.any():
        step, index = (int(i) for i in np.argwhere(differs)[0])
        name, (x, y) = list(curves.items())[index]
        raise AssertionError(f"step {step}, {name}: {x[step]!r} and {y[step]!r} differ by more than {rtol:g} of either")


def compare_params(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], rtol: float) -> None:
    """Every element of every array differs by `rtol` of the array's largest at most, and 0 means not by a bit."""
    if list(a) != list(b):
        raise AssertionError(f"names: {list(a)} and {list(b)}")
    for name in a:
        x, y = a[name], b[name]
        if x.shape != y.shape or x.dtype != y.dtype:
            raise AssertionError(f"{name}: {x.dtype} {x.shape} and {y.dtype} {y.shape}")
        differs = _differs(x, y, rtol * max(np.abs(x).max(), np.abs(y).max()))
        if differs.any():
            index = tuple(int(i) for i in np.argwhere(differs)[0])
            raise AssertionError(
                f"{name}{list(index)}: {x[index]!r} and {y[index]!r} differ by more than {rtol:g} of the largest"
            )


def _differs(x: np.ndarray, y: np.ndarray, allowed: np.ndarray | float) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # inf - inf
        return ~((np.abs(x - y) <= allowed) & np.isfinite(x) & np.isfinite(y))  # so that NaN differs


KINDS: dict[str, tuple[TaskSpec, ...]] = {
    "binary": (TaskSpec(name="click", kind="binary", hidden=(6,), weight=0.7),),
    "regression": (TaskSpec(name="span", kind="regression", hidden=(6,), outputs=3, weight=2.0),),
    "multiclass": (TaskSpec(name="region", kind="multiclass", hidden=(6,), outputs=4),),
    "untied": (
        TaskSpec(name="span", kind="regression", hidden=(6,), outputs=2),
        TaskSpec(name="click", kind="binary", hidden=(5, 4), weight=0.5),
        TaskSpec(name="price", kind="regression", outputs=1, weight=2.0),
        TaskSpec(name="region", kind="multiclass", hidden=(6,), outputs=4),
    ),
    # Like heads stand apart, so that the backends' order of tasks is another than the spec's.
    "tied": (
        TaskSpec(name="click", kind="binary", hidden=(6, 5)),
        TaskSpec(name="span", kind="regression", hidden=(6,), outputs=2, weight=0.5),
        TaskSpec(name="region", kind="multiclass", hidden=(6,), outputs=4, weight=1.5),
        TaskSpec(name="buy", kind="binary", hidden=(6, 5), weight=3.0),
        TaskSpec(name="height", kind="regression", hidden=(6,), outputs=2),
        TaskSpec(name="city", kind="multiclass", hidden=(6,), outputs=4, weight=0.25),
    ),
}
"""The tasks of the examples, by what they show."""

FEATURES = tuple(
    CategoricalFeature(name=name, vocabulary=vocabulary, dimension=dimension)
    for name, vocabulary, dimension in [("colour", 5, 3), ("size", 4, 2), ("shape", 7, 3), ("maker", 3, 4)]
)
"""Tables of one dimension stand apart, and others stand alone."""


LISTS = (
    CategoricalFeature(name="query", vocabulary=7, dimension=3, length=4, table="word"),
    CategoricalFeature(name="colour", vocabulary=5, dimension=3),
    CategoricalFeature(name="place", vocabulary=6, dimension=3, trainable=False),
    CategoricalFeature(name="title", vocabulary=7, dimension=3, length=3, pooling="max", table="word"),
    CategoricalFeature(name="tags", vocabulary=4, dimension=2, length=2, pooling="sum"),
    CategoricalFeature(name="visited", vocabulary=6, dimension=3, length=3, table="place", trainable=False),
)
"""Lists of ids with each pooling, two tables that two features share, and one of them frozen."""


def example_model(kinds: str = "tied", **fields) -> ModelSpec:
    """A small network with every part: numbers, embeddings of three dimensions, two trunk layers of one width."""
    own = {"numeric": 4, "categorical": FEATURES, "trunk": (8, 8), "tasks": KINDS[kinds]}
    return ModelSpec(**(own | fields))


def example_data(
    model: ModelSpec, rows: int, *, missing: bool = False, weighted: bool = False, seed: int = 0
) -> Dataset:
    """Random rows; with `missing` a third of each task's labels; with `weighted` weights from 0 to 3, and others of the
    first task.
    """
    data = presets.random_data(model, rows, seed=seed)
    draw = np.random.default_rng([seed, 1])
    if missing:
        labels = {}
        for task in model.tasks:
            label, gone = data.labels[task.name].copy(), draw.random(rows) < 1 / 3
            if task.kind == "multiclass":
                label[gone] = -1
            else:
                label = label.astype(np.float64)
                # One missing number of several makes the row missing.
                label[(gone, -1) if label.ndim == 2 else gone] = np.nan
            labels[task.name] = label
        data = replace(data, labels=labels)
    if not weighted:
        return data
    weight, own = draw.integers(0, 4, rows).astype(np.float64), draw.uniform(0.5, 2.0, rows)
    return replace(data, sample_weight=weight, task_weight={model.tasks[0].name: own})


def as_precision(params: Mapping[str, np.ndarray], precision: str) -> dict[str, np.ndarray]:
    return {name: value.astype(precision) for name, value in params.items()}


def fit(name: str, model: ModelSpec, train: TrainSpec, data: Dataset, params=None, **changes) -> Fitted:
    train = replace(train, device="cpu", **{"precision": "float64", **changes})
    return load_backend(name).fit(model, train, data, params=params)


def supported(train: TrainSpec, executions: Mapping[str, str]) -> None:
    """Raises UnsupportedError, before anything runs, if one of these backends has no code for its execution of it."""
    for name, execution in executions.items():
        load_backend(name).check_training(train, execution)


def both(
    pair: tuple[str, str], model: ModelSpec, train: TrainSpec, data: Dataset, *, rtol=RTOL, steps: int, **executions
) -> tuple[Fitted, Fitted]:
    """The runs of two backends, compared. executions: by backend, if not the one that it takes by itself."""
    supported(train, {name: executions.get(name, "auto") for name in pair})
    one, other = (
        fit(name, model, train, data, execution=executions.get(name, "auto"), precision=train.precision)
        for name in pair
    )
    for name, fitted in zip(pair, (one, other), strict=True):
        assert fitted.history.execution == executions.get(name, fitted.history.execution)
        assert fitted.history.step_loss.shape == (steps,)
        assert np.isfinite(fitted.history.step_loss).all()
        assert {value.dtype for value in fitted.params.values()} == {np.dtype(train.precision)}
    compare_curves(one.history, other.history, rtol)
    return one, other
