"""The parity tests prove themselves by going red: one fault on one side, and the comparison names where it shows.

The other side is healthy, and both agree before the fault is planted. The step is the first at which the fault can
show: 0 for one in the forward pass or the loss, 1 for one in the update, later for one in later state.
"""

import functools
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backends import batches, fit
from backends.jax import model as jax_model
from backends.jax import optimizers as jax_optimizers
from backends.jax import training as jax_training
from backends.layout import layout_of
from backends.torch import losses as torch_losses
from backends.torch import model as torch_model
from backends.torch import optimizers as torch_optimizers
from backends.torch import training as torch_training
from spec import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    History,
    RMSprop,
    Schedule,
    TrainSpec,
    initial_params,
    load_backend,
)
from tests.parity import compare_curves, compare_params, example_data, example_model

RTOL = 1e-9
EXECUTIONS = {"torch": "eager", "jax": "epoch"}
CACHES = [module.__dict__[name] for module in (torch_training, jax_training) for name in ("make_run", "make_gradient")]

MODEL = example_model("tied", trunk=(8, 8))
TRAIN = TrainSpec(
    optimizer=Adam(learning_rate=3e-3), batch_size=16, epochs=15, seed=4, precision="float64", device="cpu"
)
DATA = example_data(MODEL, 60, missing=True, weighted=True)
"""Three batches of 16 and one of 12 an epoch: 60 steps."""


def run(name, model=MODEL, train=TRAIN, data=DATA, params=None):
    train = replace(train, execution=EXECUTIONS[name])
    return load_backend(name).fit(model, train, data, params=params)


@functools.cache
def healthy(name, model, train):
    """A run without a fault, computed once for all the faults that it is compared with."""
    return run(name, model, train)


@contextmanager
def fresh_runs():
    """No network or compiled step of before is used inside, and none of inside is used afterwards."""
    for cache in CACHES:
        cache.cache_clear()
    try:
        yield
    finally:
        for cache in CACHES:
            cache.cache_clear()


@dataclass
class Fault:
    """`plant` patches one backend, or gives the arguments of its `fit` that differ."""

    side: str
    step: int
    plant: Callable[[pytest.MonkeyPatch], dict | None]
    model: dict | None = None
    train: dict | None = None
    where: str = ""
    """The task that the message names, where it is known."""


def torch_adam(root=0.0, outside=1.0, exact=True):
    def direction(optimizer, gradient, slots, count):
        mu = optimizer.beta1 * slots["mu"] + (1.0 - optimizer.beta1) * gradient
        nu = optimizer.beta2 * slots["nu"] + (1.0 - optimizer.beta2) * gradient.square()
        if not exact:
            count = count.float()
        first, second = (mu / (1 - optimizer.beta1**count), nu / (1 - optimizer.beta2**count))
        return first / ((second + root * optimizer.eps).sqrt() + outside * optimizer.eps), {"mu": mu, "nu": nu}

    return lambda patch: patch.setitem(torch_optimizers.DIRECTIONS, "adam", direction)


def torch_dampened(patch):
    def direction(optimizer, gradient, slots, count):
        trace = optimizer.momentum * slots["trace"] + (1 - optimizer.momentum) * gradient
        return trace, {"trace": trace}

    patch.setitem(torch_optimizers.DIRECTIONS, "sgd", direction)


def torch_rmsprop_eps_inside(patch):
    def direction(optimizer, gradient, slots, count):
        nu = optimizer.decay * slots["nu"] + (1.0 - optimizer.decay) * gradient.square()
        return gradient / (nu + optimizer.eps).sqrt(), {"nu": nu}

    patch.setitem(torch_optimizers.DIRECTIONS, "rmsprop", direction)


def torch_decay_before_clip(patch):
    original = torch_optimizers.update

    def update(optimizer, clip_norm, gradient, slots, count, params, learning_rate):
        decayed, plain = gradient + optimizer.weight_decay * params, replace(optimizer, weight_decay=0.0)
        return original(plain, clip_norm, decayed, slots, count, params, learning_rate)

    patch.setattr(torch_optimizers, "update", update)


def jax_clip_by_value(patch):
    clip = lambda clip_norm: jax_optimizers.optax.clip(clip_norm)  # noqa: E731
    patch.setattr(jax_optimizers, "clip_by_norm", clip)


def rates(change):
    original = fit.learning_rates
    return lambda patch: patch.setattr(fit, "learning_rates", lambda train, steps: change(original, train, steps))


def warm_up_from_zero(original, train, steps):
    found, warmup = original(train, steps), train.schedule.warmup_steps
    return np.where(np.arange(steps) < warmup, found - train.optimizer.learning_rate / warmup, found)


def row_order(change):
    original = fit.row_order
    return lambda patch: patch.setattr(fit, "row_order", lambda seed, epoch, rows: change(original, seed, epoch, rows))


def mean_over_padded_batch(patch):
    original = batches.BatchSource._shares

    def shares(self, order, index):
        found = {name: array.copy() for name, array in original(self, order, index).items()}
        for array in found.values():
            array[-1] *= len(order) % self.batch_size / self.batch_size
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


def task_weights_ignored(patch):
    original = torch_training.task_weights
    patch.setattr(torch_training, "task_weights", lambda *arguments: torch.ones_like(original(*arguments)))


def task_weights_in_the_specs_order(patch):
    weights = np.array([task.weight for task in MODEL.tasks])
    patch.setattr(torch_training, "task_weights", lambda *_: torch.tensor(weights))


def other_layout(network, change):
    """One backend builds another layout than that of the model."""
    return lambda patch: patch.setattr(
        network, "layout", SimpleNamespace(layout_of=lambda model: change(layout_of(model)), Dense=None, Layout=None)
    )


def no_offsets(layout):
    tables = tuple(replace(table, offsets=(0,) * len(table.offsets)) for table in layout.tables)
    return replace(layout, tables=tables)


def last_trunk_layer_linear(layout):
    return replace(layout, trunk=(*layout.trunk[:-1], replace(layout.trunk[-1], hidden=False)))


def tied_dropout_keys_alike(layout):
    def alike(head):
        return replace(
            head, layers=tuple(replace(d, dropout_keys=d.dropout_keys[:1] * len(head.tasks)) for d in head.layers)
        )

    return replace(layout, heads=tuple(alike(head) for head in layout.heads))


def hashing(network, keep):
    """One backend's dropout asks another function than the spec's `keep`."""
    return lambda patch: patch.setattr(
        network, "random", SimpleNamespace(keep=functools.partial(keep, network.random.keep))
    )


def unscaled_dropout(patch):
    original = torch_model.Dense.dropout
    patch.setattr(torch_model.Dense, "dropout", lambda self, x, key: original(self, x, key) * (1.0 - self.rate))


def embeddings_before_numbers(patch):
    original = torch_model.SharedBottom.embed
    width = MODEL.numeric
    patch.setattr(torch_model.SharedBottom, "embed", lambda *arguments: original(*arguments).roll(-width, dims=1))


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


LAYER, GELU, DROPOUT = {"normalization": "layer"}, {"activation": "gelu"}, {"dropout": 0.25}
WARM = {"schedule": Schedule(kind="cosine", warmup_steps=10)}
CLIP = {"clip_norm": 0.5, "optimizer": SGD(learning_rate=0.05, weight_decay=0.01)}
NESTEROV = {"optimizer": SGD(learning_rate=0.05, momentum=0.9, nesterov=True)}
MOMENTUM = {"optimizer": SGD(learning_rate=0.05, momentum=0.9)}
ADAMW = {"optimizer": AdamW(weight_decay=0.1)}
ADAGRAD, RMSPROP = {"optimizer": Adagrad()}, {"optimizer": RMSprop(learning_rate=1e-3)}

FAULTS = {
    # the optimizer
    "Adam's eps inside the root": Fault("torch", 1, torch_adam(root=1.0, outside=0.0)),
    "Adam's eps missing": Fault("torch", 1, torch_adam(outside=0.0, root=1e-12)),
    "Adam's eps 1e-7": Fault("torch", 1, other_train(optimizer=Adam(learning_rate=3e-3, eps=1e-7))),
    "Adam's bias correction in float32": Fault("torch", 1, torch_adam(exact=False)),
    "beta1 0.95": Fault("torch", 2, other_train(optimizer=Adam(learning_rate=3e-3, beta1=0.95))),
    "beta2 0.99": Fault("torch", 2, other_train(optimizer=Adam(learning_rate=3e-3, beta2=0.99))),
    "decay as L2 instead of decoupled": Fault("torch", 1, other_train(optimizer=Adam(weight_decay=0.1)), train=ADAMW),
    "decay left out": Fault("torch", 1, other_train(optimizer=AdamW(weight_decay=0.0)), train=ADAMW),
    "momentum without nesterov": Fault("torch", 1, other_train(**MOMENTUM), train=NESTEROV),
    "momentum dampened": Fault("torch", 1, torch_dampened, train=MOMENTUM),
    "Adagrad from 0.1": Fault("torch", 1, other_train(optimizer=Adagrad(initial_accumulator=0.1)), train=ADAGRAD),
    "RMSprop's eps inside the root": Fault("torch", 1, torch_rmsprop_eps_inside, train=RMSPROP),
    "RMSprop's decay 0.9": Fault(
        "torch", 1, other_train(optimizer=RMSprop(learning_rate=1e-3, decay=0.9)), train=RMSPROP
    ),
    "clipping without eps": Fault(
        "torch", 1, lambda patch: patch.setattr(torch_optimizers, "CLIP_EPS", 0.0), train=CLIP
    ),
    "clipping each element": Fault("jax", 1, jax_clip_by_value, train=CLIP),
    "decay before clipping": Fault("torch", 1, torch_decay_before_clip, train=CLIP),
    "no clipping": Fault("torch", 1, other_train(clip_norm=None), train=CLIP),
    # the learning rate
    "schedule off by one": Fault("torch", 1, rates(lambda rates, train, n: np.roll(rates(train, n), -1)), train=WARM),
    "warm-up from 0": Fault("torch", 1, rates(warm_up_from_zero), train=WARM),
    "decay to the last step": Fault(
        "torch", 12, rates(lambda rates, train, n: rates(train, n - 1)[[*range(n - 1), n - 2]]), train=WARM
    ),
    # the rows, their weights and labels
    "rows shifted by one epoch": Fault("torch", 0, row_order(lambda order, seed, epoch, n: order(seed, epoch + 1, n))),
    "one order for all epochs": Fault("torch", 4, row_order(lambda order, seed, epoch, n: order(seed, 0, n))),
    "rows not shuffled": Fault("torch", 0, other_train(shuffle=False)),
    "sample weights ignored": Fault("torch", 0, weights_ignored),
    "masks ignored": Fault("torch", 0, missing_as_zero),
    "classes shifted": Fault("torch", 0, classes_shifted, where="region"),
    "mean over the padded batch": Fault("torch", 3, mean_over_padded_batch),
    "task weights ignored": Fault("torch", 0, task_weights_ignored, where="total"),
    "task weights in another order": Fault("torch", 0, task_weights_in_the_specs_order, where="total"),
    "sum over the outputs": Fault(
        "torch",
        0,
        lambda patch: patch.setitem(torch_losses.LOSSES, "regression", lambda x, y: (x - y).square().sum(-1)),
        where="span",
    ),
    # the network
    "gelu by tanh in torch": Fault(
        "torch",
        0,
        lambda patch: patch.setitem(torch_model.ACTIVATIONS, "gelu", functools.partial(F.gelu, approximate="tanh")),
        model=GELU,
    ),
    "gelu by tanh in jax": Fault(
        "jax", 0, lambda patch: patch.setitem(jax_model.ACTIVATIONS, "gelu", jax.nn.gelu), model=GELU
    ),
    "leaky relu": Fault("torch", 0, lambda patch: patch.setitem(torch_model.ACTIVATIONS, "relu", F.leaky_relu)),
    "layer norm's eps 1e-6": Fault(
        "jax", 0, lambda patch: patch.setattr(jax_model, "LAYER_NORM_EPS", 1e-6), model=LAYER
    ),
    "kernel transposed": Fault("torch", 0, parameters(transpose)),
    "bias zeroed": Fault("torch", 0, parameters(zero_bias), where="city"),
    "heads swapped": Fault("torch", 0, parameters(swap_heads), where="click"),
    "embedding offsets missing": Fault("jax", 0, other_layout(jax_model, no_offsets)),
    "embeddings before the numbers": Fault("torch", 0, embeddings_before_numbers),
    "last trunk layer linear": Fault("torch", 0, other_layout(torch_model, last_trunk_layer_linear)),
    "another seed": Fault("torch", 0, other_train(seed=5)),
    "float32": Fault("torch", 0, other_train(precision="float32")),
    # dropout
    "dropout unscaled": Fault("torch", 0, unscaled_dropout, model=DROPOUT),
    "no dropout": Fault(
        "torch", 0, lambda patch: patch.setattr(torch_model.Dense, "dropout", lambda self, x, key: x), model=DROPOUT
    ),
    "hash without the layer": Fault(
        "torch",
        0,
        hashing(torch_model, lambda keep, step, layer, element, rate: keep(step, layer * 0, element, rate)),
        model=DROPOUT,
    ),
    "hash without the layer in jax": Fault(
        "jax",
        0,
        hashing(jax_model, lambda keep, step, layer, element, rate: keep(step, layer * 0, element, rate)),
        model=DROPOUT,
    ),
    "hash without the step": Fault(
        "torch",
        1,
        lambda patch: patch.setattr(fit, "step_key", lambda seed, span, key=fit.step_key: key(seed, span * 0)),
        model=DROPOUT,
    ),
    "one mask for tied heads": Fault("torch", 0, other_layout(torch_model, tied_dropout_keys_alike), model=DROPOUT),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_on_one_side_is_seen_and_located(name, monkeypatch):
    fault = FAULTS[name]
    model, train = replace(MODEL, **(fault.model or {})), replace(TRAIN, **(fault.train or {}))
    other = "jax" if fault.side == "torch" else "torch"
    reference = healthy(other, model, train)
    assert reference.history.step_loss.shape == (60,)
    compare_curves(healthy(fault.side, model, train).history, reference.history, RTOL)
    with fresh_runs(), monkeypatch.context() as patch:
        arguments = fault.plant(patch) or {}
        if "train" in arguments:
            arguments["train"] = replace(train, **arguments["train"])
        faulty = run(fault.side, **{"model": model, "train": train, **arguments})
    with pytest.raises(AssertionError, match=rf"^step {fault.step}, {fault.where}.* differ by more than 1e-09"):
        compare_curves(faulty.history, reference.history, RTOL)
    with pytest.raises(AssertionError, match=r"differ|float32"):
        compare_params(faulty.params, reference.params, 1e-8)
    # and nothing stays planted
    compare_curves(run("torch", model, train).history, healthy("torch", model, train).history, 0)


def test_a_lost_last_batch_is_seen():
    shorter = run("torch", data=DATA.take(slice(48)))
    with pytest.raises(
        AssertionError, match=r"click: expected two curves of one length, got shapes \(45,\) and \(60,\)"
    ):
        compare_curves(shorter.history, healthy("jax", MODEL, TRAIN).history, RTOL)


def gradients(name):
    params = initial_params(MODEL, seed=1, precision="float64")
    return load_backend(name).gradients(MODEL, params, DATA, device="cpu")[1]


def embeddings_detached(patch):
    original = torch_model.SharedBottom.embed

    def embed(*arguments):
        x = original(*arguments)
        return x.detach() + 0.0 * x

    patch.setattr(torch_model.SharedBottom, "embed", embed)


def head_gradient_doubled(patch):
    """As a task's weight that counts twice in the backward pass, and once in the loss."""
    original = torch_losses.LOSSES["multiclass"]
    patch.setitem(torch_losses.LOSSES, "multiclass", lambda x, y: 2.0 * original(x, y) - original(x, y).detach())


def output_biases_frozen(patch):
    forward = torch_model.Dense.forward

    def without(self, x, key):
        y = forward(self, x, key)
        bias = self.bias.unsqueeze(-2)
        return y if self.hidden else y - bias + bias.detach()

    patch.setattr(torch_model.Dense, "forward", without)


GRADIENT_FAULTS = {
    "embeddings not trained": (embeddings_detached, "embeddings.colour"),
    "a loss counted twice": (head_gradient_doubled, "embeddings.colour"),
    "output biases not trained": (output_biases_frozen, "tasks.click.2.bias"),
}


@pytest.mark.parametrize("name", GRADIENT_FAULTS)
def test_a_wrong_gradient_is_seen_and_its_parameter_named(name, monkeypatch):
    plant, parameter = GRADIENT_FAULTS[name]
    compare_params(gradients("torch"), gradients("jax"), 1e-10)
    with fresh_runs(), monkeypatch.context() as patch:
        plant(patch)
        faulty = gradients("torch")
    with pytest.raises(AssertionError, match=rf"^{parameter}\["):
        compare_params(faulty, gradients("jax"), 1e-10)


@pytest.mark.parametrize(
    ("change", "parameter"),
    [(transpose, "trunk.1.kernel"), (zero_bias, "tasks.city.1.bias"), (swap_heads, "tasks.click.0.kernel")],
)
def test_a_wrong_parameter_is_named(change, parameter):
    params = initial_params(MODEL, seed=1, precision="float64")
    right = {name: value.copy() for name, value in params.items()}
    compare_params(params, right, 0)
    change(params)
    with pytest.raises(AssertionError, match=rf"^{parameter}\["):
        compare_params(params, right, 1e-8)


def history(total, **tasks):
    arrays = {name: np.array(curve, dtype=float) for name, curve in tasks.items()}
    return History(execution="eager", device="cpu", step_loss=np.array(total, dtype=float), task_loss=arrays)


GOOD = {"total": [3.0, 2.0, 1.0], "a": [1.0, 1.0, 0.5], "b": [2.0, 1.0, 0.5]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"total": [3.0, 2.0, 1.0 + 2e-9]}, "step 2, total: "),
        ({"a": [1.0, 1.0 + 2e-9, 0.5], "b": [2.0, 1.0, 7.0]}, "step 1, a: "),
        ({"b": [2.0 + 1e-6, 1.0, 0.5], "a": [1.0, 1.0, 0.6]}, "step 0, b: "),
        ({"a": [0.5, 1.5, 0.5]}, "step 0, a: "),
        ({"b": [2.0, -1.0, 0.5]}, "step 1, b: "),
        ({"b": [2.0, np.nan, 0.5]}, "step 1, b: "),
        ({"b": [2.0, np.inf, 0.5]}, "step 1, b: "),
        ({"b": [2.0, 1.0]}, "b: .*shapes"),
        ({"total": [[3.0], [2.0], [1.0]]}, "total: .*shapes"),
        ({"c": [2.0, 1.0, 0.5]}, "tasks: "),
    ],
)
def test_curves_that_differ(change, message):
    compare_curves(history(**GOOD), history(**GOOD), 0)
    for pair in ((GOOD, GOOD | change), (GOOD | change, GOOD)):
        with pytest.raises(AssertionError, match=f"^{message}"):
            compare_curves(*(history(**curves) for curves in pair), 1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_two_curves_of_no_numbers_do_not_agree(value):
    curves = GOOD | {"a": [1.0, value, 0.5]}
    with pytest.raises(AssertionError, match=r"^step 1, a: "):
        compare_curves(history(**curves), history(**curves), 1e-9)


def test_two_empty_curves_prove_nothing():
    with pytest.raises(AssertionError, match=r"^a: "):
        compare_curves(history([], a=[]), history([], a=[]), 1e-9)


ARRAYS = {"first": np.array([[1.0, -2.0], [0.0, 4.0]]), "second": np.array([1.0, -1.0]), "third": np.zeros(2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"second": np.array([-1.0, 1.0])}, r"second\[0\]"),  # the same sum
        ({"first": ARRAYS["first"].T.copy()}, r"first\[0, 1\]"),
        ({"first": ARRAYS["first"] + [[0, 0], [5e-9, 0]]}, r"first\[1, 0\]"),
        ({"third": np.array([0.0, 1e-300])}, r"third\[1\]"),
        ({"third": np.array([0.0, np.nan])}, r"third\[1\]"),
        ({"second": np.array([[1.0, -1.0]])}, "second: "),
        ({"second": np.array([1.0, -1.0], dtype=np.float32)}, "second: "),
        ({"fourth": np.zeros(1)}, "names: "),
    ],
)
def test_parameters_that_differ(change, message):
    compare_params(ARRAYS, {name: value.copy() for name, value in ARRAYS.items()}, 0)
    with pytest.raises(AssertionError, match=f"^{message}"):
        compare_params(ARRAYS, ARRAYS | change, 1e-9)


def test_a_difference_within_the_tolerance_passes():
    compare_curves(history(**GOOD), history(**(GOOD | {"a": [1.0 + 5e-10, 1.0, 0.5]})), 1e-9)
    compare_params(ARRAYS, ARRAYS | {"first": ARRAYS["first"] + 3e-9}, 1e-9)


def test_two_parameters_that_are_not_numbers_do_not_agree():
    arrays = {"first": np.array([1.0, np.nan])}
    with pytest.raises(AssertionError, match=r"^first\["):
        compare_params(arrays, arrays, 1.0)
