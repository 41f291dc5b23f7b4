"""The third judge: the network and its losses in plain NumPy, written from the contract."""

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import erf, expit, logsumexp

from spec import Dataset, ModelSpec
from spec.network import layers
from spec.random import dropout_mask

ACTIVATIONS = {
    "relu": lambda x: np.where(x > 0, x, 0.0),
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x * expit(x),
    "tanh": np.tanh,
}


POOLINGS = {"mean": np.mean, "sum": np.sum, "max": np.max}


def pooled(table: np.ndarray, ids: np.ndarray, pooling: str) -> np.ndarray:
    """What a feature adds to the network's inputs, row by row: of ids (rows, length), those that are there."""
    found = np.zeros((len(ids), table.shape[1]))
    for row, own in enumerate(ids):
        there = [table[i] for i in own if i >= 0]
        if there:
            found[row] = POOLINGS[pooling](there, axis=0)
    return found


def plain_layers(
    model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset, dropout: tuple[int, int] | None = None
) -> dict[str, np.ndarray]:
    """The third judge: the network in NumPy, one layer after the other, as the contract words it.

    Every layer's output by its name in the spec, in float64. dropout: the seed and the step to drop at.
    """
    columns = [np.asarray(data.numeric, dtype=np.float64)] if model.numeric else []
    start = 0
    for feature in model.categorical:
        ids = data.categorical[:, start : start + feature.length]
        columns.append(pooled(params[f"embeddings.{feature.table or feature.name}"], ids, feature.pooling))
        start += feature.length
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


def plain_losses(model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset) -> dict[str, float]:
    """Each task's loss over all rows, row by row with the contract's formula."""
    logits, losses = plain_logits(model, params, data), {}
    of_rows = np.ones(data.rows) if data.sample_weight is None else data.sample_weight
    for task in model.tasks:
        weights = of_rows * data.task_weight.get(task.name, 1.0)
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
        losses[task.name] = own / weight_sum if weight_sum else 0.0
    return losses


def plain_loss(model: ModelSpec, params: Mapping[str, np.ndarray], data: Dataset) -> float:
    """The total loss of all rows."""
    losses = plain_losses(model, params, data)
    return sum(task.weight * losses[task.name] for task in model.tasks)


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
