"""The third judge of training: plain NumPy, written from the contract, parameter by parameter and task by task.

Shared-Bottom networks of tanh layers without norm and dropout, whose losses have their defaults, are differentiated by
hand. Of others the gradient is found by an imaginary step along each parameter, which takes a small network.
"""

import re
from typing import NamedTuple

import numpy as np
from scipy.special import expit, softmax

from spec import SGD, Adagrad, Adam, AdamW, RMSprop
from spec.data import row_order
from spec.network import layers
from spec.params import frozen_parameters, initial_params
from tests.helpers.plain import imaginary_steps, labelled, plain_losses
from tests.helpers.plain_balancing import RULES, PCGrad, Uncertainty


def counts(table, ids, pooling):
    """How much each element of a table counts in what each row looks up: (rows, vocabulary, dimension)."""
    shares = np.zeros((len(ids), *table.shape))
    for row, named in zip(shares, ids, strict=True):
        there = named[named >= 0]
        np.add.at(row, there, 1.0)
        if pooling == "max" and len(there):
            row *= table == table[there].max(axis=0)
        if pooling != "sum":
            row /= np.maximum(row.sum(axis=0), 1.0)
    return shares


def looked_up(model, params, rows):
    """Each feature with its `counts`."""
    features, start = [], 0
    for feature in model.categorical:
        ids = rows.categorical[:, start : start + feature.length]
        features.append((feature, counts(params[feature.parameter], ids, feature.pooling)))
        start += feature.length
    return features


def named_rows(model, rows):
    """By table, which of its rows these rows of the data name, in ascending order."""
    named, start = {}, 0
    for feature in model.categorical:
        ids = rows.categorical[:, start : start + feature.length]
        named[feature.parameter] = np.union1d(named.get(feature.parameter, []), ids[ids >= 0]).astype(int)
        start += feature.length
    return named


def by_hand(model):
    """Whether `task_gradient` knows its formulas."""
    usual = all(task.given is None and task.loss is None for task in model.tasks)
    layers = model.activation == "tanh" and model.normalization == "none" and model.dropout == 0
    return usual and layers and model.sharing.kind == "shared_bottom"


def task_gradients(model, params, rows, seed, step):
    """Of each task, what `task_gradient` gives."""
    if by_hand(model):
        features = looked_up(model, params, rows)
        return {task.name: task_gradient(model, params, task, rows, features) for task in model.tasks}
    dropout, frozen = (seed, step) if model.dropout else None, frozen_parameters(model)
    losses, slopes = plain_losses(model, params, rows, dropout), imaginary_steps(model, params, rows, dropout)
    found = {}
    for task in model.tasks:
        moved = {name: slope for name, slope in slopes[task.name].items() if name not in frozen}
        weight = rows.weight(task.name)
        present = labelled(task, rows) * (1.0 if weight is None else weight)
        found[task.name] = losses[task.name], moved, present.any()
    return found


def task_gradient(model, params, task, rows, features):
    """The task's mean loss over the rows that have a label, its gradient by parameter, and whether there are such rows.

    Backpropagation. features: what `looked_up` says of these rows.
    """
    path = [layer for layer in layers(model) if layer.name.startswith(("trunk.", f"tasks.{task.name}."))]
    numeric = [rows.numeric] if model.numeric else []
    embedded = [np.einsum("rvd,vd->rd", share, params[feature.parameter]) for feature, share in features]
    inputs, x = [], np.concatenate([*numeric, *embedded], axis=1)
    for layer in path:
        inputs.append(x)
        x = x @ params[f"{layer.name}.kernel"] + params[f"{layer.name}.bias"]
        x = np.tanh(x) if layer.hidden else x
    label = rows.labels[task.name]
    present = label >= 0 if task.kind == "multiclass" else ~np.isnan(label.reshape(len(label), -1)).any(axis=1)
    gradients = {name: np.zeros_like(value) for name, value in params.items() if name not in frozen_parameters(model)}
    weight = rows.weight(task.name)
    weight = present * (1.0 if weight is None else weight)
    if not weight.any():
        return 0.0, gradients, False
    slope, share = np.zeros_like(x), (weight / weight.sum())[present]
    if task.kind == "regression":
        error = (x - label)[present]
        loss, slope[present] = share @ np.mean(error**2, axis=1), share[:, None] * 2 * error / error.shape[1]
    elif task.kind == "binary":
        logit, y = x[present, 0], label[present]
        loss, slope[present, 0] = share @ (np.logaddexp(0, logit) - y * logit), share * (expit(logit) - y)
    else:
        p, chosen = softmax(x[present], axis=1), np.eye(task.outputs)[label[present]]
        loss, slope[present] = -share @ np.log((p * chosen).sum(axis=1)), share[:, None] * (p - chosen)
    outputs = [*inputs[1:], None]
    for layer, entered, left in zip(reversed(path), reversed(inputs), reversed(outputs), strict=True):
        slope = slope * (1 - left**2) if layer.hidden else slope
        gradients[f"{layer.name}.kernel"], gradients[f"{layer.name}.bias"] = entered.T @ slope, slope.sum(axis=0)
        slope = slope @ params[f"{layer.name}.kernel"].T
    of_features = np.split(slope, model.numeric + np.cumsum([0, *(f.dimension for f, _ in features)]), axis=1)[1:]
    for (feature, counted), part in zip(features, of_features, strict=False):
        if feature.trainable:
            gradients[feature.parameter] += np.einsum("rvd,rd->vd", counted, part)
    return loss, gradients, True


def moving(gradient, patterns):
    """The gradient without those of the parameters that the patterns of `TrainSpec.frozen` name."""
    of_shell = {"*": ".*", "?": "."}
    wordings = ["".join(of_shell.get(c, re.escape(c)) for c in pattern) + r"(\..*)?" for pattern in patterns]
    return {name: g for name, g in gradient.items() if not any(re.fullmatch(w, name) for w in wordings)}


class Optimizer:
    """The formulas of `spec.training`, on whole parameters, or on those rows of a table that a batch names."""

    def __init__(self, train):
        self.o, self.clip_norm, self.slots, self.t = train.optimizer, train.clip_norm, {}, 0

    def step(self, params, gradients, named):
        """named: by table, the rows that move; of what is not there, all do."""
        self.t += 1
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        scale = 1.0 if self.clip_norm is None else min(1.0, self.clip_norm / (norm + 1e-6))
        for name, gradient in gradients.items():
            if name not in self.slots:
                start = self.o.initial_accumulator if isinstance(self.o, Adagrad) else 0.0
                self.slots[name] = {slot: np.full_like(params[name], start) for slot in self.o.slots}
            rows, params[name] = named.get(name, ...), params[name].copy()
            slots = {slot: array[rows] for slot, array in self.slots[name].items()}
            params[name][rows] = self.moved(params[name][rows], gradient[rows] * scale, slots)
            for slot, array in self.slots[name].items():
                array[rows] = slots[slot]

    def moved(self, p, g, slots):
        """p after the step. The slots are replaced."""
        o, decoupled = self.o, isinstance(self.o, AdamW)
        g = g if decoupled else g + o.weight_decay * p
        if isinstance(o, SGD):
            direction = g
            if o.momentum:
                slots["trace"] = o.momentum * slots["trace"] + g
                direction = g + o.momentum * slots["trace"] if o.nesterov else slots["trace"]
        elif isinstance(o, Adam | AdamW):
            slots["mu"] = o.beta1 * slots["mu"] + (1 - o.beta1) * g
            slots["nu"] = o.beta2 * slots["nu"] + (1 - o.beta2) * g**2
            m, v = slots["mu"] / (1 - o.beta1**self.t), slots["nu"] / (1 - o.beta2**self.t)
            direction = m / (np.sqrt(v) + o.eps)
        elif isinstance(o, Adagrad):
            slots["sum_of_squares"] = slots["sum_of_squares"] + g**2
            direction = g / (np.sqrt(slots["sum_of_squares"]) + o.eps)
        elif isinstance(o, RMSprop):
            slots["nu"] = o.decay * slots["nu"] + (1 - o.decay) * g**2
            direction = g / (np.sqrt(slots["nu"]) + o.eps)
            if o.momentum:
                slots["trace"] = direction = o.momentum * slots["trace"] + direction
        return p - o.learning_rate * direction - decoupled * o.learning_rate * o.weight_decay * p


class Plain(NamedTuple):
    """A run of the judge."""

    total: np.ndarray
    """The total loss of each step (steps,)."""
    weights: np.ndarray
    """Each task's factor (steps, tasks)."""
    params: dict[str, np.ndarray]
    slots: dict[str, dict[str, np.ndarray]]
    """By slot and parameter."""


def train_plainly(model, train, data):
    params, optimizer = initial_params(model, seed=train.seed, precision="float64"), Optimizer(train)
    rule, totals, weights, step = RULES[train.balancing.kind](model, train), [], [], 0
    for epoch in range(train.epochs):
        order = row_order(train.seed, epoch, data.rows)
        for start in range(0, data.rows, train.batch_size):
            rows = data.take(order[start : start + train.batch_size])
            of_tasks = {
                task: (loss, moving(gradient, train.frozen), present)
                for task, (loss, gradient, present) in task_gradients(model, params, rows, train.seed, step).items()
            }
            factors, total = rule.weigh(model.tasks, of_tasks, epoch=epoch, step=step)
            pairs = [(factor, *of_tasks[task.name]) for factor, task in zip(factors, model.tasks, strict=True)]
            totals.append(sum(factor * loss for factor, loss, *_ in pairs) if total is None else total)
            gradient = {name: sum(factor * of_task[name] for factor, _, of_task, _ in pairs) for name in pairs[0][2]}
            if isinstance(rule, PCGrad):
                rule.change(gradient)
            moved = params
            if isinstance(rule, Uncertainty):
                gradient |= rule.slopes
                moved = params | rule.log_variance
            optimizer.step(moved, gradient, named_rows(model, rows) if train.embedding_updates == "lazy" else {})
            params = {name: moved[name] for name in params}
            if isinstance(rule, Uncertainty):
                rule.log_variance = {name: moved[name] for name in rule.log_variance}
            weights.append(factors)
            step += 1
    slots = {
        slot: {name: optimizer.slots[name][slot] for name in params if name in optimizer.slots}
        for slot in train.optimizer.slots
    }
    return Plain(np.array(totals), np.array(weights), params, slots)
