"""The third judge of balancing: training in plain NumPy, each rule written from its paper, task by task.

The network has tanh layers, no embeddings and no norm; the optimizer is Adam.
"""

import numpy as np
from scipy.special import expit, softmax

from spec.data import row_order
from spec.params import initial_params, layers
from spec.random import layer_key, mix, step_key


def task_gradient(model, params, task, numeric, label):
    """The task's mean loss over the rows that have a label, and its gradient by parameter: backpropagation."""
    own = [layer for layer in layers(model) if layer.name.startswith(("trunk.", f"tasks.{task.name}."))]
    inputs, x = [], numeric
    for layer in own:
        inputs.append(x)
        x = x @ params[f"{layer.name}.kernel"] + params[f"{layer.name}.bias"]
        x = np.tanh(x) if layer.hidden else x
    present = label >= 0 if task.kind == "multiclass" else ~np.isnan(label.reshape(len(label), -1)).any(axis=1)
    gradients = {name: np.zeros_like(value) for name, value in params.items()}
    if not present.any():
        return 0.0, gradients, False
    slope, count = np.zeros_like(x), present.sum()
    if task.kind == "regression":
        error = (x - label)[present]
        loss, slope[present] = np.mean(error**2), 2 * error / error.size
    elif task.kind == "binary":
        logit, y = x[present, 0], label[present]
        loss, slope[present, 0] = np.mean(np.logaddexp(0, logit) - y * logit), (expit(logit) - y) / count
    else:
        p, chosen = softmax(x[present], axis=1), np.eye(task.outputs)[label[present]]
        loss, slope[present] = -np.mean(np.log((p * chosen).sum(axis=1))), (p - chosen) / count
    outputs = [*inputs[1:], None]
    for layer, entered, left in zip(reversed(own), reversed(inputs), reversed(outputs), strict=True):
        slope = slope * (1 - left**2) if layer.hidden else slope
        gradients[f"{layer.name}.kernel"], gradients[f"{layer.name}.bias"] = entered.T @ slope, slope.sum(axis=0)
        slope = slope @ params[f"{layer.name}.kernel"].T
    return loss, gradients, True


class Adam:
    def __init__(self, optimizer):
        self.o, self.mu, self.nu, self.t = optimizer, {}, {}, 0

    def step(self, params, gradients):
        self.t += 1
        for name, g in gradients.items():
            self.mu[name] = self.o.beta1 * self.mu.get(name, 0) + (1 - self.o.beta1) * g
            self.nu[name] = self.o.beta2 * self.nu.get(name, 0) + (1 - self.o.beta2) * g**2
            m, v = self.mu[name] / (1 - self.o.beta1**self.t), self.nu[name] / (1 - self.o.beta2**self.t)
            params[name] = params[name] - self.o.learning_rate * m / (np.sqrt(v) + self.o.eps)


class Uncertainty:
    """Kendall et al.: Σ 1/(2σ²)·L + log σ for regression, Σ 1/σ²·L + log σ for classification, s = log σ²."""

    def __init__(self, model, train):
        self.log_variance = {f"s.{task.name}": np.array(train.balancing.initial_log_variance) for task in model.tasks}

    def weigh(self, tasks, found, **_):
        self.slopes, total, factors = {}, 0.0, []
        for task in tasks:
            loss, _, present = found[task.name]
            s, c = self.log_variance[f"s.{task.name}"], 0.5 if task.kind == "regression" else 1.0
            factors.append(task.weight * c / np.exp(s))
            total += factors[-1] * loss + task.weight * present * s / 2
            self.slopes[f"s.{task.name}"] = -factors[-1] * loss + task.weight * present / 2
        return factors, total


class DynamicWeightAverage:
    """Liu et al.: λ_k = K·exp(w_k/T) / Σ_i exp(w_i/T), w_k = L_k(e-1) / L_k(e-2), mean losses of epochs."""

    def __init__(self, model, train):
        self.temperature, self.epochs = train.balancing.temperature, []

    def weigh(self, tasks, found, *, epoch, **_):
        if epoch == len(self.epochs):
            self.epochs.append([])
        self.epochs[-1].append([found[task.name][0] for task in tasks])
        ratio = np.ones(len(tasks))
        if epoch >= 2:
            ratio = np.mean(self.epochs[-2], axis=0) / np.mean(self.epochs[-3], axis=0)
        share = np.exp(ratio / self.temperature)
        factors = [task.weight * len(tasks) * own / share.sum() for task, own in zip(tasks, share, strict=True)]
        return factors, None


class GradNorm:
    """Chen et al., algorithm 1, with the mean over the tasks that have a label."""

    def __init__(self, model, train):
        self.o, self.last = train.balancing, f"trunk.{len(model.trunk) - 1}.kernel"
        self.v, self.first = {task.name: 1.0 for task in model.tasks}, {}

    def weigh(self, tasks, found, **_):
        factors = [task.weight * self.v[task.name] for task in tasks]
        here = [task for task in tasks if found[task.name][2]]
        slope = {t.name: np.linalg.norm(t.weight * found[t.name][1][self.last]) for t in here}
        norm = {name: self.v[name] * own for name, own in slope.items()}
        rate = {t.name: found[t.name][0] / self.first.setdefault(t.name, found[t.name][0]) for t in here}
        mean_norm, mean_rate = np.mean(list(norm.values())), np.mean(list(rate.values()))
        for name, own in norm.items():
            target = mean_norm * (rate[name] / mean_rate) ** self.o.alpha
            self.v[name] = max(self.v[name] - self.o.learning_rate * np.sign(own - target) * slope[name], 1e-3)
        scale = len(tasks) / sum(self.v.values())
        self.v = {name: v * scale for name, v in self.v.items()}
        return factors, None


class PCGrad:
    """Yu et al., algorithm 1, on the trunk."""

    def __init__(self, model, train):
        self.seed = train.seed

    def weigh(self, tasks, found, *, step, **_):
        shared = [name for name in found[tasks[0].name][1] if name.startswith("trunk.")]
        own = {t.name: np.concatenate([t.weight * found[t.name][1][name].ravel() for name in shared]) for t in tasks}
        projected = {}
        for t in tasks:
            g = own[t.name].copy()
            for other in sorted((o for o in tasks if o is not t), key=lambda o: self.turn(step, t, o)):
                u = own[other.name]
                if g @ u < 0:
                    g -= (g @ u) / (u @ u) * u
            projected[t.name] = g
        self.shared, self.sum = shared, sum(projected.values())
        return [task.weight for task in tasks], None

    def turn(self, step, task, other):
        mine, others = (layer_key(f"tasks.{t.name}") for t in (task, other))
        return mix(mix(mine ^ step_key(self.seed, step)) ^ others)

    def change(self, total):
        start = 0
        for name in self.shared:
            size = total[name].size
            total[name] = self.sum[start : start + size].reshape(total[name].shape)
            start += size


RULES = {"uncertainty": Uncertainty, "dwa": DynamicWeightAverage, "gradnorm": GradNorm, "pcgrad": PCGrad}


def train_plainly(model, train, data):
    """The total loss of each step (steps,), each task's factors (steps, tasks), and the parameters at the end."""
    params, adam = initial_params(model, seed=train.seed, precision="float64"), Adam(train.optimizer)
    rule, totals, weights, step = RULES[train.balancing.kind](model, train), [], [], 0
    for epoch in range(train.epochs):
        order = row_order(train.seed, epoch, data.rows)
        for start in range(0, data.rows, train.batch_size):
            rows = data.take(order[start : start + train.batch_size])
            found = {t.name: task_gradient(model, params, t, rows.numeric, rows.labels[t.name]) for t in model.tasks}
            factors, total = rule.weigh(model.tasks, found, epoch=epoch, step=step)
            pairs = [(factor, *found[task.name]) for factor, task in zip(factors, model.tasks, strict=True)]
            totals.append(sum(factor * loss for factor, loss, *_ in pairs) if total is None else total)
            gradient = {name: sum(factor * own[name] for factor, _, own, _ in pairs) for name in params}
            if isinstance(rule, PCGrad):
                rule.change(gradient)
            own = params
            if isinstance(rule, Uncertainty):
                gradient |= rule.slopes
                own = params | rule.log_variance
            adam.step(own, gradient)
            params = {name: own[name] for name in params}
            if isinstance(rule, Uncertainty):
                rule.log_variance = {name: own[name] for name in rule.log_variance}
            weights.append(factors)
            step += 1
    return np.array(totals), np.array(weights), params
