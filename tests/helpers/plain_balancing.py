"""The third judge of balancing: each rule written from its paper, task by task. `plain_training` trains by them."""

import numpy as np

from spec.random import layer_key, mix, step_key
from tests.helpers.plain_sharing import last_shared_kernels, of_one_task


class Fixed:
    """Every task by its weight in the spec."""

    def __init__(self, model, train):
        pass

    def weigh(self, tasks, found, **_):
        return [task.weight for task in tasks], None


class Uncertainty:
    """Kendall et al.: Σ 1/(2σ²)·L + log σ for the squared error, Σ 1/σ²·L + log σ for all others, s = log σ²."""

    def __init__(self, model, train):
        self.log_variance = {f"s.{task.name}": np.array(train.balancing.initial_log_variance) for task in model.tasks}

    def weigh(self, tasks, found, **_):
        self.slopes, total, factors = {}, 0.0, []
        for task in tasks:
            loss, _, present = found[task.name]
            s, c = self.log_variance[f"s.{task.name}"], 0.5 if task.objective.kind == "squared" else 1.0
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
    """Chen et al., algorithm 1, with the mean over the tasks that have a label. A task whose loss is negative, as that
    of a density may be, trains at the rate 1; its first loss is the first one above 0.
    """

    def __init__(self, model, train):
        self.o, self.model = train.balancing, model
        self.v, self.first = {task.name: 1.0 for task in model.tasks}, {}

    def weigh(self, tasks, found, **_):
        factors = [task.weight * self.v[task.name] for task in tasks]
        here = [task for task in tasks if found[task.name][2]]
        last = last_shared_kernels(self.model, found[tasks[0].name][1])
        of_last = {t.name: np.concatenate([found[t.name][1][name].ravel() for name in last]) for t in here}
        slope = {t.name: np.linalg.norm(t.weight * of_last[t.name]) for t in here}
        norm = {name: self.v[name] * own for name, own in slope.items()}
        rate = {t.name: self.rate(t.name, found[t.name][0]) for t in here}
        mean_norm, mean_rate = np.mean(list(norm.values())), np.mean(list(rate.values()))
        for name, own in norm.items():
            target = mean_norm * (rate[name] / mean_rate) ** self.o.alpha
            self.v[name] = max(self.v[name] - self.o.learning_rate * np.sign(own - target) * slope[name], 1e-3)
        scale = len(tasks) / sum(self.v.values())
        self.v = {name: v * scale for name, v in self.v.items()}
        return factors, None

    def rate(self, name, loss):
        return 1.0 if loss < 0 else loss / self.first.setdefault(name, loss)


class PCGrad:
    """Yu et al., algorithm 1, on all that several tasks depend on: embedding tables, trunk or experts, as far as they
    move. Where none does, nothing is projected.
    """

    def __init__(self, model, train):
        self.seed, self.model = train.seed, model

    def weigh(self, tasks, found, *, step, **_):
        shared = [name for name in found[tasks[0].name][1] if not of_one_task(self.model, name)]
        own = {}
        for t in tasks:
            of_shared = [t.weight * found[t.name][1][name].ravel() for name in shared]
            own[t.name] = np.concatenate([*of_shared, []])
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


RULES = {
    "fixed": Fixed,
    "uncertainty": Uncertainty,
    "dwa": DynamicWeightAverage,
    "gradnorm": GradNorm,
    "pcgrad": PCGrad,
}
