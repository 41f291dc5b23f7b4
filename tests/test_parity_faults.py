"""The parity tests prove themselves by going red: one fault on one side, and the comparison names where it shows.

The other side is healthy, and both agree before the fault is planted. The step is the first at which the fault can
show: 0 for one in the forward pass or the loss, 1 for one in the update, later for one in later state.
"""

import functools
from dataclasses import replace

import jax
import numpy as np
import pytest
import torch.nn.functional as F

from backends.jax import layers as jax_layers
from backends.jax import model as jax_model
from backends.torch import balancing as torch_balancing
from backends.torch import layers as torch_layers
from backends.torch import losses as torch_losses
from backends.torch import model as torch_model
from backends.torch import optimizers as torch_optimizers
from shared_bottom.run import calls
from spec import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    DynamicWeightAverage,
    Fixed,
    GradNorm,
    PCGrad,
    RMSprop,
    Schedule,
    UncertaintyWeighting,
)
from tests.helpers.faults import DATA, MODEL, RTOL, TRAIN, Fault, fresh_runs, healthy, run
from tests.helpers.parity import compare_curves, compare_params
from tests.helpers.planted import (
    balancing_steps,
    classes_shifted,
    debias_in_float32,
    debias_late,
    embeddings_before_numbers,
    hashing,
    in_the_specs_order,
    jax_clip_by_value,
    last_trunk_layer_linear,
    mean_over_padded_batch,
    missing_as_zero,
    no_offsets,
    other_layout,
    other_train,
    parameters,
    rates,
    row_order,
    swap_heads,
    task_weights,
    tied_dropout_keys_alike,
    torch_adam,
    torch_biases_not_decayed,
    torch_dampened,
    torch_decay_before_clip,
    torch_rmsprop_eps_inside,
    transpose,
    unscaled_dropout,
    warm_up_from_zero,
    weights_ignored,
    zero_bias,
)
from tests.helpers.planted_features import FEATURE_FAULTS
from tests.helpers.planted_frozen import FROZEN_FAULTS
from tests.helpers.planted_lazy import LAZY_FAULTS
from tests.helpers.planted_sharing import SHARING_FAULTS

LAYER, GELU, DROPOUT = {"normalization": "layer"}, {"activation": "gelu"}, {"dropout": 0.25}
WARM = {"schedule": Schedule(kind="cosine", warmup_steps=10)}
CLIP = {"clip_norm": 0.5, "optimizer": SGD(learning_rate=0.05, weight_decay=0.01)}
NESTEROV = {"optimizer": SGD(learning_rate=0.05, momentum=0.9, nesterov=True)}
MOMENTUM = {"optimizer": SGD(learning_rate=0.05, momentum=0.9)}
ADAMW = {"optimizer": AdamW(weight_decay=0.1)}
NOISE, PROJECTED = {"balancing": UncertaintyWeighting()}, {"balancing": PCGrad()}
ADAGRAD, RMSPROP = {"optimizer": Adagrad()}, {"optimizer": RMSprop(learning_rate=1e-3)}

FAULTS = {
    # the optimizer
    "Adam's eps inside the root": Fault("torch", 1, torch_adam(root=1.0, outside=0.0)),
    "Adam's eps missing": Fault("torch", 1, torch_adam(outside=0.0, root=1e-12)),
    "Adam's eps 1e-7": Fault("torch", 1, other_train(optimizer=Adam(learning_rate=3e-3, eps=1e-7))),
    "Adam's bias correction in float32": Fault("torch", 1, debias_in_float32),
    "Adam's steps counted from 2": Fault("torch", 1, debias_late),
    "beta1 0.95": Fault("torch", 2, other_train(optimizer=Adam(learning_rate=3e-3, beta1=0.95))),
    "beta2 0.99": Fault("torch", 2, other_train(optimizer=Adam(learning_rate=3e-3, beta2=0.99))),
    "decay as L2 instead of decoupled": Fault("torch", 1, other_train(optimizer=Adam(weight_decay=0.1)), train=ADAMW),
    "decay left out": Fault("torch", 1, other_train(optimizer=AdamW(weight_decay=0.0)), train=ADAMW),
    "bias left out of decay": Fault("torch", 1, torch_biases_not_decayed, train=ADAMW),
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
    "task weights ignored": Fault("torch", 0, task_weights(np.ones_like), where="total"),
    "task weights in another order": Fault("torch", 0, task_weights(in_the_specs_order), where="total"),
    "sum over the outputs": Fault(
        "torch",
        0,
        lambda patch: patch.setitem(torch_losses.LOSSES, "squared", lambda _, x, y: (x - y).square().sum(-1)),
        where="span",
    ),
    # the network
    "gelu by tanh in torch": Fault(
        "torch",
        0,
        lambda patch: patch.setitem(torch_layers.ACTIVATIONS, "gelu", functools.partial(F.gelu, approximate="tanh")),
        model=GELU,
    ),
    "gelu by tanh in jax": Fault(
        "jax", 0, lambda patch: patch.setitem(jax_layers.ACTIVATIONS, "gelu", jax.nn.gelu), model=GELU
    ),
    "leaky relu": Fault("torch", 0, lambda patch: patch.setitem(torch_layers.ACTIVATIONS, "relu", F.leaky_relu)),
    "layer norm's eps 1e-6": Fault(
        "jax", 0, lambda patch: patch.setattr(jax_layers, "LAYER_NORM_EPS", 1e-6), model=LAYER
    ),
    "kernel transposed": Fault("torch", 0, parameters(transpose)),
    "bias zeroed": Fault("torch", 0, parameters(zero_bias), where="city"),
    "heads swapped": Fault("torch", 0, parameters(swap_heads), where="click"),
    "embedding offsets missing": Fault("jax", 0, other_layout(jax_model, no_offsets)),
    "embeddings before the numbers": Fault("torch", 0, embeddings_before_numbers),
    "last trunk layer linear": Fault("torch", 0, other_layout(torch_model, last_trunk_layer_linear)),
    "another seed": Fault("torch", 0, other_train(seed=5)),
    "float32": Fault("torch", 0, other_train(precision="float32")),
    # balancing
    "noise of classification as of regression": Fault(
        "torch",
        0,
        lambda patch: patch.setattr(torch_balancing, "likelihood_scale", lambda layout: [0.5] * 6),
        train=NOISE,
    ),
    "epochs of the weight average a step late": Fault(
        "torch", 5, balancing_steps(lambda steps: steps - 1), train={"balancing": DynamicWeightAverage()}
    ),
    "gradient norms of the first layer": Fault(
        "torch",
        1,
        other_layout(torch_model, lambda layout: replace(layout, last_shared=slice(0, 64))),
        train={"balancing": GradNorm()},
    ),
    "gradients not projected": Fault("torch", 1, other_train(balancing=Fixed()), train=PROJECTED),
    "one order of projection for all steps": Fault(
        "torch", 2, balancing_steps(lambda steps: steps * 0), train=PROJECTED
    ),
    # dropout
    "dropout unscaled": Fault("torch", 0, unscaled_dropout, model=DROPOUT),
    "no dropout": Fault(
        "torch", 0, lambda patch: patch.setattr(torch_layers.Dropout, "forward", lambda self, x, key: x), model=DROPOUT
    ),
    "hash without the layer": Fault(
        "torch",
        0,
        hashing(torch_layers, lambda keep, step, layer, element, rate: keep(step, layer * 0, element, rate)),
        model=DROPOUT,
    ),
    "hash without the layer in jax": Fault(
        "jax",
        0,
        hashing(jax_layers, lambda keep, step, layer, element, rate: keep(step, layer * 0, element, rate)),
        model=DROPOUT,
    ),
    "hash without the step": Fault(
        "torch",
        1,
        lambda patch: patch.setattr(calls, "step_key", lambda seed, span, key=calls.step_key: key(seed, span * 0)),
        model=DROPOUT,
    ),
    "one mask for tied heads": Fault("torch", 0, other_layout(torch_model, tied_dropout_keys_alike), model=DROPOUT),
    # lists of ids, shared and frozen tables, the weights of a task's rows
    **FEATURE_FAULTS,
    # lazy embedding updates
    **LAZY_FAULTS,
    # frozen parameters
    **FROZEN_FAULTS,
    # ways of sharing, losses, conditional tasks
    **SHARING_FAULTS,
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
