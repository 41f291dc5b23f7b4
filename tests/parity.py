"""What parity means here, and the networks that show it.

A comparison raises AssertionError and names the first step, or the first parameter in network order, that differs. NaN
equals nothing, shapes must be the same, and every element counts by itself: differences cannot cancel.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.special import erf, expit, logsumexp

from spec import CategoricalFeature, Dataset, History, ModelSpec, TaskSpec, presets
from spec.params import layers
from spec.random import dropout_mask


def compare_curves(a: History, b: History, rtol: float) -> None:
    """Every step's total loss and every task's differ by `rtol` of the larger at most."""
    if list(a.task_loss) != list(b.task_loss):
        raise AssertionError(f"tasks: {list(a.task_loss)} and {list(b.task_loss)}")
    curves = {name: (a.task_loss[name], b.task_loss[name]) for name in a.task_loss}
    curves["total"] = (a.step_loss, b.step_loss)
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


def example_model(kinds: str = "tied", **fields) -> ModelSpec:
    """A small network with every part: numbers, embeddings of three dimensions, two trunk layers of one width."""
    own = {"numeric": 4, "categorical": FEATURES, "trunk": (8, 8), "tasks": KINDS[kinds]}
    return ModelSpec(**(own | fields))


def example_data(
    model: ModelSpec, rows: int, *, missing: bool = False, weighted: bool = False, seed: int = 0
) -> Dataset:
    """Random rows; with `missing` a third of each task's labels, and with `weighted` weights from 0 to 3."""
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
    return replace(data, sample_weight=draw.integers(0, 4, rows).astype(np.float64)) if weighted else data


def as_precision(params: Mapping[str, np.ndarray], precision: str) -> dict[str, np.ndarray]:
    return {name: value.astype(precision) for name, value in params.items()}


ACTIVATIONS = {
    "relu": lambda x: np.where(x > 0, x, 0.0),
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * expit(x),
    "tanh": np.tanh,
}


def plain_layers(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, dropout: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """The third judge: the network in NumPy, one layer after the other, as the contract words it.

    Every layer's output by its name in the spec, in float64. dropout: the seed and the step to drop at.
    """
    columns = [np.asarray(data.numeric, dtype=np.float64)] if model.numeric else []
    for column, feature in enumerate(model.categorical):
        columns.append(params[f"embeddings.{feature.name}"][data.categorical[:, column]])
    shared = np.concatenate(columns, axis=1)
    found: dict[str, np.ndarray] = {}
    for layer in layers(model):
        if layer.name.startswith("trunk."):
            x = shared
        elif layer.name.endswith(".0"):
            x = shared  # each head starts at the trunk's end
        x = x @ params[f"{layer.name}.kernel"] + params[f"{layer.name}.bias"]
        if layer.hidden:
            if model.normalization == "layer":
                x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
                x = x * params[f"{layer.name}.norm.scale"] + params[f"{layer.name}.norm.bias"]
            x = ACTIVATIONS[model.activation](x)
            if dropout is not None:
                seed, step = dropout
                kept = dropout_mask(seed, step, layer.name, x.shape, model.dropout)
                x = np.where(kept, x / (1.0 - model.dropout), 0.0)
        found[layer.name] = x
        if layer.name.startswith("trunk."):
            shared = x
    return found


def plain_logits(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, dropout: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    found = plain_layers(model, params, data, dropout)
    return {task.name: found[f"tasks.{task.name}.{len(task.hidden)}"] for task in model.tasks}


def plain_loss(model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset) -> float:
    """The total loss of all rows, row by row with the contract's formula."""
    logits, total = plain_logits(model, params, data), 0.0
    weights = np.ones(data.rows) if data.sample_weight is None else data.sample_weight
    for task in model.tasks:
        own, weight_sum = 0.0, 0.0
        for x, label, weight in zip(logits[task.name], data.labels[task.name], weights, strict=True):
            if np.isnan(label).any() or (task.kind == "multiclass" and label == -1):
                continue
            if task.kind == "binary":
                loss = np.logaddexp(0.0, -x[0] if label else x[0])
            elif task.kind == "multiclass":
                loss = logsumexp(x) - x[label]
            else:
                loss = np.mean((x - label) ** 2)
            own, weight_sum = own + weight * loss, weight_sum + weight
        total += task.weight * own / weight_sum if weight_sum else 0.0
    return total
