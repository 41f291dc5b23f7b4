"""Every optimizer, on random gradients: one trajectory in both backends, and that of torch.optim and of optax."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from backends.jax import optimizers as jax_optimizers
from backends.torch import optimizers as torch_optimizers
from spec import SGD, Adagrad, Adam, AdamW, RMSprop, TrainSpec
from spec.optimizers import debias
from tests.helpers.parity import compare_params

STEPS, SIZE, RTOL = 200, 23, 1e-9

OPTIMIZERS = {
    "sgd": SGD(weight_decay=0.0),
    "momentum": SGD(momentum=0.8),
    "nesterov": SGD(momentum=0.8, nesterov=True),
    "adam": Adam(beta1=0.8, beta2=0.97, eps=1e-4),
    "adam by default": Adam(),
    "adamw": AdamW(beta1=0.8, beta2=0.97, eps=1e-4, weight_decay=0.0),
    "adagrad": Adagrad(),
    "adagrad from 0.3": Adagrad(initial_accumulator=0.3, eps=1e-3),
    "rmsprop": RMSprop(decay=0.9, eps=1e-3),
    "rmsprop with momentum": RMSprop(eps=1e-3, momentum=0.7),
}
DECAYS = [0.0, 0.1]
CLIPS = [None, 3.0]

draw = np.random.default_rng(0)
START = draw.standard_normal(SIZE)
# Norms from below to above the clip; one element never has a gradient, and one step has none at all.
GRADIENTS = draw.standard_normal((STEPS, SIZE)) * np.geomspace(0.1, 3.0, STEPS)[draw.permutation(STEPS), None]
GRADIENTS[:, 5] = 0.0
GRADIENTS[70] = 0.0
RATES = 0.02 * draw.uniform(0.1, 1.0, STEPS)


def test_the_gradients_are_clipped_in_some_steps_and_not_in_others():
    norms = np.linalg.norm(GRADIENTS, axis=1)
    assert 0.2 < (norms > CLIPS[1]).mean() < 0.8
    assert norms.min() == 0.0


def by_step(trajectory):
    """(steps, …) arrays as names that say the step, in the order of the steps."""
    return {f"step {step} {name}": array[step] for step in range(STEPS) for name, array in trajectory.items()}


def numbers(optimizer, clip_norm):
    """What of a run's numbers a step takes, beside its learning rate and the bias correction."""
    return TrainSpec(optimizer=optimizer, clip_norm=clip_norm).numbers


def torch_trajectory(optimizer, clip_norm, rates=RATES):
    """The parameters and slots after every step, through the backend."""
    params = torch.tensor(START)
    slots = torch_optimizers.init(optimizer, params)
    taken = []
    for step in range(STEPS):
        inputs = {"learning_rate": rates[step], "debias": debias(optimizer, np.array([step + 1]))[0]}
        inputs = {
            name: torch.tensor(x, dtype=torch.float64) for name, x in (inputs | numbers(optimizer, clip_norm)).items()
        }
        params, slots = torch_optimizers.update(optimizer, torch.tensor(GRADIENTS[step]), slots, params, inputs)
        taken.append({"params": params.numpy().copy()} | {name: slot.numpy().copy() for name, slot in slots.items()})
    assert taken[0].keys() == {"params", *optimizer.slots}
    return {name: np.stack([step[name] for step in taken]) for name in taken[0]}


def jax_trajectory(optimizer, clip_norm, rates=RATES):
    def step(carry, batch):
        params, state = carry
        inputs = batch | numbers(optimizer, clip_norm)
        params, state = jax_optimizers.update(optimizer, batch["gradient"], state, params, inputs)
        slots = {name: optax.tree_utils.tree_get(state, name) for name in optimizer.slots}
        return (params, state), {"params": params} | slots

    with jax.enable_x64(True):
        scales = jnp.array(debias(optimizer, np.arange(1, STEPS + 1)))
        start = jnp.array(START)
        carry = (start, jax_optimizers.init(optimizer, start))
        _, taken = jax.jit(lambda carry, batches: jax.lax.scan(step, carry, batches))(
            carry, {"gradient": jnp.array(GRADIENTS), "learning_rate": jnp.array(rates), "debias": scales}
        )
        return {name: np.asarray(taken[name]) for name in ("params", *optimizer.slots)}


def native_torch_optimizer(optimizer, parameter):
    common = {"lr": optimizer.learning_rate, "weight_decay": optimizer.weight_decay}
    match optimizer:
        case SGD():
            return torch.optim.SGD([parameter], momentum=optimizer.momentum, nesterov=optimizer.nesterov, **common)
        case Adam() | AdamW():
            kind = torch.optim.Adam if isinstance(optimizer, Adam) else torch.optim.AdamW
            return kind([parameter], betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.eps, **common)
        case Adagrad():
            accumulator = optimizer.initial_accumulator
            return torch.optim.Adagrad([parameter], initial_accumulator_value=accumulator, eps=optimizer.eps, **common)
        case RMSprop():
            return torch.optim.RMSprop(
                [parameter], alpha=optimizer.decay, eps=optimizer.eps, momentum=optimizer.momentum, **common
            )


def native_torch_trajectory(optimizer, clip_norm):
    parameter = torch.nn.Parameter(torch.tensor(START))
    native = native_torch_optimizer(optimizer, parameter)
    taken = []
    for step in range(STEPS):
        parameter.grad = torch.tensor(GRADIENTS[step])
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([parameter], clip_norm)
        native.param_groups[0]["lr"] = RATES[step]
        native.step()
        taken.append(parameter.numpy(force=True).copy())
    return {"params": np.stack(taken)}


def native_optax(optimizer, rate):
    decay = optimizer.weight_decay
    match optimizer:
        case SGD():
            native = optax.sgd(rate, optimizer.momentum or None, optimizer.nesterov)
        case Adam():
            native = optax.adam(rate, optimizer.beta1, optimizer.beta2, optimizer.eps)
        case AdamW():
            return optax.adamw(rate, optimizer.beta1, optimizer.beta2, optimizer.eps, weight_decay=decay)
        case RMSprop():
            momentum = optimizer.momentum or None
            native = optax.rmsprop(rate, optimizer.decay, optimizer.eps, momentum=momentum, eps_in_sqrt=False)
    return optax.chain(optax.add_decayed_weights(decay), native)


cases = pytest.mark.parametrize("name", OPTIMIZERS)
decays = pytest.mark.parametrize("decay", DECAYS, ids=["no decay", "decay"])
clips = pytest.mark.parametrize("clip_norm", CLIPS, ids=["no clip", "clip"])


@cases
@decays
@clips
def test_both_backends_take_the_same_trajectory(name, decay, clip_norm):
    optimizer = replace(OPTIMIZERS[name], weight_decay=decay)
    one, other = torch_trajectory(optimizer, clip_norm), jax_trajectory(optimizer, clip_norm)
    assert one["params"].dtype == np.float64
    assert np.abs(one["params"][-1] - START).max() > 0.01
    compare_params(by_step(one), by_step(other), RTOL)


@cases
@decays
@clips
def test_the_torch_backend_takes_that_of_torch_optim(name, decay, clip_norm):
    optimizer = replace(OPTIMIZERS[name], weight_decay=decay)
    own = torch_trajectory(optimizer, clip_norm)["params"]
    compare_params(by_step({"params": own}), by_step(native_torch_trajectory(optimizer, clip_norm)), 1e-11)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if "adagrad" not in name])
@decays
def test_the_jax_backend_takes_that_of_optax_where_it_has_the_form(name, decay):
    # Not Adagrad and clipping, whose eps stands elsewhere; at one rate, since optax.rmsprop puts it into the momentum.
    optimizer, rate = replace(OPTIMIZERS[name], weight_decay=decay), 0.01
    own = jax_trajectory(optimizer, None, np.full(STEPS, rate))["params"]

    def step(carry, gradient):
        params, state = carry
        updates, state = native.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    with jax.enable_x64(True):
        native, start = native_optax(optimizer, rate), jnp.array(START)
        scan = jax.jit(lambda carry, gradients: jax.lax.scan(step, carry, gradients))
        _, taken = scan((start, native.init(start)), jnp.array(GRADIENTS))
        taken = np.asarray(taken)
    compare_params(by_step({"params": own}), by_step({"params": taken}), 1e-11)


@cases
def test_the_slots_start_alike(name):
    optimizer = OPTIMIZERS[name]
    slots = torch_optimizers.init(optimizer, torch.tensor(START))
    assert tuple(slots) == optimizer.slots
    with jax.enable_x64(True):
        state = jax_optimizers.init(optimizer, jnp.array(START))
        other = {name: np.asarray(optax.tree_utils.tree_get(state, name)) for name in optimizer.slots}
    compare_params({name: slot.numpy() for name, slot in slots.items()}, other, 0)
