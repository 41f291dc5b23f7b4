"""The third judge: the network and its losses in plain NumPy, written from the contract."""

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import erf

from spec import Dataset, ModelSpec, TaskSpec
from spec.random import dropout_mask
from tests.helpers.plain_losses import of_rows, softplus
from tests.helpers.plain_sharing import WAYS

ACTIVATIONS = {
    "relu": lambda x: np.where(x > 0, x, 0.0),
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * np.exp(-softplus(-x)),
    "tanh": np.tanh,
}


POOLINGS = {"mean": np.mean, "sum": np.sum, "max": np.max}


def pooled(table: np.ndarray, ids: np.ndarray, pooling: str) -> np.ndarray:
    """What a feature adds to the network's inputs, row by row: of ids (rows, length), those that are there."""
    found = np.zeros((len(ids), table.shape[1]), table.dtype)
    for row, own in enumerate(ids):
        there = [table[i] for i in own if i >= 0]
        if there:
            found[row] = POOLINGS[pooling](there, axis=0)
    return found


def plain_layers(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, dropout: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """Every layer's output by its name in the spec, and every gate's weights by its own, in float64.

    dropout: the seed and the step to drop at.
    """
    found: dict[str, np.ndarray] = {}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        found[name] = x @ params[f"{name}.kernel"] + params[f"{name}.bias"]
        return found[name]

    def hidden(name: str, x: np.ndarray) -> np.ndarray:
        x = linear(name, x)
        if model.normalization == "layer":
            x = x - x.mean(axis=1, keepdims=True)
            x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-5)
            x = x * params[f"{name}.norm.scale"] + params[f"{name}.norm.bias"]
        x = ACTIVATIONS[model.activation](x)
        if dropout is not None:
            seed, step = dropout
            kept = dropout_mask(seed, step, name, x.shape, model.dropout)
            x = np.where(kept, x / (1.0 - model.dropout), 0.0)
        found[name] = x
        return x

    def expert(name: str, x: np.ndarray) -> np.ndarray:
        for i in range(len(model.trunk)):
            x = hidden(f"{name}.{i}", x)
        return x

    def gate(name: str, x: np.ndarray) -> np.ndarray:
        z = x @ params[f"{name}.kernel"]
        weights = np.exp(z - z.real.max(axis=1, keepdims=True))
        found[name] = weights / weights.sum(axis=1, keepdims=True)
        return found[name]

    of_tasks = WAYS[model.sharing.kind](model, expert, gate, embedded(model, params, data))
    for task in model.tasks:
        x = of_tasks[task.name]
        for i in range(len(task.hidden)):
            x = hidden(f"tasks.{task.name}.{i}", x)
        linear(f"tasks.{task.name}.{len(task.hidden)}", x)
    return found


def embedded(model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset) -> np.ndarray:
    """The network's inputs: the numeric columns, then each feature's embedding."""
    columns = [np.asarray(data.numeric, dtype=np.float64)] if model.numeric else []
    start = 0
    for feature in model.categorical:
        ids = data.categorical[:, start : start + feature.length]
        columns.append(pooled(params[f"embeddings.{feature.table or feature.name}"], ids, feature.pooling))
        start += feature.length
    return np.concatenate(columns, axis=1)


def plain_logits(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, dropout: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    found = plain_layers(model, params, data, dropout)
    return {task.name: found[f"tasks.{task.name}.{len(task.hidden)}"] for task in model.tasks}


def labelled(task: TaskSpec, data: Dataset) -> np.ndarray:
    """Which rows have the task's label."""
    label = np.asarray(data.labels[task.name])
    return label != -1 if task.kind == "multiclass" else ~np.isnan(label.reshape(len(label), -1)).any(axis=1)


def plain_losses(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, dropout: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """Each task's loss: the weighted mean over the rows that have its label, 0 of none."""
    outputs, tasks = plain_logits(model, params, data, dropout), {task.name: task for task in model.tasks}
    of_all = np.ones(data.rows) if data.sample_weight is None else data.sample_weight
    losses = {}
    for task in model.tasks:
        there = labelled(task, data)
        weights = (of_all * data.task_weight.get(task.name, 1.0))[there]
        rows = of_rows(
            tasks, task, {name: z[there] for name, z in outputs.items()}, np.asarray(data.labels[task.name])[there]
        )
        losses[task.name] = weights @ rows / weights.sum() if weights.any() else rows.dtype.type(0.0)
    return losses


def plain_loss(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, dropout: tuple[int, int] | None = None
) -> float:
    """The total loss of all rows."""
    losses = plain_losses(model, params, data, dropout)
    return sum(task.weight * losses[task.name] for task in model.tasks)


def imaginary_steps(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, dropout: tuple[int, int] | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """The gradient of each task's loss, by task and parameter: Im f(x + ih) / h, which rounds nothing away  (Squire &
    Trapp, "Using Complex Variables to Estimate Derivatives of Real Functions", SIAM Review 40, 1998).
    """
    found = {task.name: {name: np.zeros_like(value) for name, value in params.items()} for task in model.tasks}
    for name, value in params.items():
        for place in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[place] += 1e-30j
            for task, loss in plain_losses(model, {**params, name: moved}, data, dropout).items():
                found[task][name][place] = loss.imag / 1e-30
    return found


def central_differences(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, step: float = 1e-5
) -> dict[str, np.ndarray]:
    """The slope of the total loss along every element of every parameter."""
    found: dict[str, np.ndarray] = {}
    for name, value in params.items():
        found[name] = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            sides = []
            for sign in (1, -1):
                moved = value.copy()
                moved[place] += sign * step
                sides.append(plain_loss(model, {**params, name: moved}, data))
            found[name][place] = (sides[0] - sides[1]) / (2 * step)
    return found
