"""What plants each fault in one backend. Every function returns what a `Fault` of `tests.helpers.faults` takes."""

import functools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from backends import base, batches
from backends.jax import optimizers as jax_optimizers
from backends.layout import layout_of
from backends.torch import layers as torch_layers
from backends.torch import model as torch_model
from backends.torch import optimizers as torch_optimizers
from shared_bottom.run import calls, plan
from spec import initial_params
from tests.helpers.faults import DATA, MODEL, TRAIN


def torch_adam(root=0.0, outside=1.0):
    def direction(optimizer, gradient, slots, debias):
        mu = optimizer.beta1 * slots["mu"] + (1.0 - optimizer.beta1) * gradient
        nu = optimizer.beta2 * slots["nu"] + (1.0 - optimizer.beta2) * gradient.square()
        first, second = mu * debias[0], nu * debias[1]
        return first / ((second + root * optimizer.eps).sqrt() + outside * optimizer.eps), {"mu": mu, "nu": nu}

    return lambda patch: patch.setitem(torch_optimizers.DIRECTIONS, "adam", direction)


def debias_in_float32(patch):
    def debias(optimizer, steps):
        betas = np.array([optimizer.beta1, optimizer.beta2], np.float32)
        return 1 / (1 - betas ** steps.astype(np.float32)[:, None])

    patch.setattr(calls, "debias", debias)


def debias_late(patch):
    original = calls.debias
    patch.setattr(calls, "debias", lambda optimizer, steps: original(optimizer, steps + 1))


def balancing_steps(change):
    def plant(patch):
        original = calls.balancing_inputs
        patch.setattr(
            calls, "balancing_inputs", lambda train, layout, steps, n: original(train, layout, change(steps), n)
        )

    return plant


def torch_dampened(patch):
    def direction(optimizer, gradient, slots, debias):
        trace = optimizer.momentum * slots["trace"] + (1 - optimizer.momentum) * gradient
        return trace, {"trace": trace}

    patch.setitem(torch_optimizers.DIRECTIONS, "sgd", direction)


def torch_rmsprop_eps_inside(patch):
    def direction(optimizer, gradient, slots, debias):
        nu = optimizer.decay * slots["nu"] + (1.0 - optimizer.decay) * gradient.square()
        return gradient / (nu + optimizer.eps).sqrt(), {"nu": nu}

    patch.setitem(torch_optimizers.DIRECTIONS, "rmsprop", direction)


def without_decay(inputs):
    return {name: value for name, value in inputs.items() if name != "weight_decay"}


def torch_decay_before_clip(patch):
    original = torch_optimizers.update

    def update(optimizer, gradient, slots, params, inputs):
        decayed = gradient + inputs["weight_decay"] * params
        return original(optimizer, decayed, slots, params, without_decay(inputs))

    patch.setattr(torch_optimizers, "update", update)


def torch_biases_not_decayed(patch):
    original = torch_optimizers.update
    biases = torch.cat(
        [torch.full((t.stop - t.start,), name.endswith(".bias")) for name, t in layout_of(MODEL).tensors.items()]
    )

    def update(optimizer, gradient, slots, params, inputs):
        arguments = optimizer, gradient, slots, params
        decayed, moved = original(*arguments, inputs)
        plain, _ = original(*arguments, without_decay(inputs))
        return torch.where(biases, plain, decayed), moved

    patch.setattr(torch_optimizers, "update", update)


def jax_clip_by_value(patch):
    patch.setattr(jax_optimizers, "clip_by_norm", lambda gradient, most: gradient.clip(-most, most))


def rates(change):
    original = plan.learning_rates
    return lambda patch: patch.setattr(plan, "learning_rates", lambda train, steps: change(original, train, steps))


def warm_up_from_zero(original, train, steps):
    found, warmup = original(train, steps), train.schedule.warmup_steps
    return np.where(np.arange(steps) < warmup, found - train.optimizer.learning_rate / warmup, found)


def row_order(change):
    original = calls.row_order
    return lambda patch: patch.setattr(
        calls, "row_order", lambda seed, epoch, rows: change(original, seed, epoch, rows)
    )


def mean_over_padded_batch(patch):
    original = batches.BatchSource._shares

    def shares(self, count, weights):
        found = {name: array.copy() for name, array in original(self, count, weights).items()}
        for array in found.values():
            array[-1] *= count % self.batch_size / self.batch_size
        return found

    patch.setattr(batches.BatchSource, "_shares", shares)


def missing_as_zero(patch):
    labels = {name: np.where(label == -1, 0, label) for name, label in DATA.labels.items()}
    labels = {name: np.where(np.isnan(x), 0, x).astype(x.dtype) for name, x in labels.items()}
    return {"data": replace(DATA, labels=labels)}


def weights_ignored(patch):
    return {"data": replace(DATA, sample_weight=None)}


def classes_shifted(patch):
    region = DATA.labels["region"]
    return {"data": replace(DATA, labels={**DATA.labels, "region": np.where(region < 0, -1, (region + 1) % 4)})}


def task_weights(change):
    """A backend is given other weights of the tasks."""

    def plant(patch):
        original = base.constants

        def constants(*arguments):
            right = original(*arguments)
            return right | {"task_weights": change(right["task_weights"])}

        patch.setattr(base, "constants", constants)

    return plant


def in_the_specs_order(weights):
    return np.array([task.weight for task in MODEL.tasks], weights.dtype)


def other_layout(network, change):
    """One backend builds another layout than that of the model."""
    return lambda patch: patch.setattr(
        network, "layout", SimpleNamespace(layout_of=lambda *model: change(layout_of(*model)))
    )


def no_offsets(layout):
    tables = tuple(replace(table, offsets=(0,) * len(table.offsets)) for table in layout.tables)
    return replace(layout, tables=tables)


def last_trunk_layer_linear(layout):
    *first, last = layout.trunk.layers
    return replace(layout, trunk=replace(layout.trunk, layers=(*first, replace(last, hidden=False))))


def tied_dropout_keys_alike(layout):
    def alike(head):
        return replace(
            head, layers=tuple(replace(d, dropout_keys=d.dropout_keys[:1] * len(head.tasks)) for d in head.layers)
        )

    return replace(layout, heads=tuple(alike(head) for head in layout.heads))


def hashing(layers, keep):
    """One backend's dropout asks another function than the spec's `keep`."""
    return lambda patch: patch.setattr(
        layers, "random", SimpleNamespace(keep=functools.partial(keep, layers.random.keep))
    )


def unscaled_dropout(patch):
    original = torch_layers.Dropout.forward
    patch.setattr(torch_layers.Dropout, "forward", lambda self, x, key: original(self, x, key) * (1.0 - self.rate))


def embeddings_before_numbers(patch):
    original = torch_model.Network.embed
    width = MODEL.numeric
    patch.setattr(torch_model.Network, "embed", lambda *arguments: original(*arguments).roll(-width, dims=1))


def parameters(change):
    def plant(patch):
        params = initial_params(MODEL, seed=TRAIN.seed, precision="float64")
        change(params)
        return {"params": params}

    return plant


def transpose(params):
    params["trunk.1.kernel"] = params["trunk.1.kernel"].T.copy()


def zero_bias(params):
    params["tasks.city.1.bias"][:] = 0.0


def swap_heads(params):
    for part in ("0.kernel", "0.bias", "1.kernel", "1.bias", "2.kernel", "2.bias"):
        one, other = f"tasks.click.{part}", f"tasks.buy.{part}"
        params[one], params[other] = params[other], params[one]


def other_train(**changes):
    return lambda patch: {"train": changes}
