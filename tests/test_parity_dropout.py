"""The backends drop what the spec's hash drops, bit for bit, eager and compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from backends.jax import layers as jax_layers
from backends.layout import layout_of
from backends.torch import layers as torch_layers
from spec.random import dropout_mask, step_key
from tests.helpers.parity import example_model

ROWS, CPU = 37, torch.device("cpu")
KEYS = [(0, 0), (42, 7), (2**32 - 1, 1_000_000), (3, 2**31 + 5)]
"""Seed and step."""


def denses(model):
    """(names of the spec's layers, the layout's Dense) of every hidden layer."""
    layout = layout_of(model)
    found = [([f"trunk.{i}"], dense) for i, dense in enumerate(layout.trunk.layers)]
    for head in layout.heads:
        found += [([f"tasks.{t.name}.{j}" for t in head.tasks], d) for j, d in enumerate(head.layers) if d.hidden]
    return found


def expected(names, dense, seed, step, rate):
    """The masked and scaled ones that the spec asks for."""
    masks = [dropout_mask(seed, step, name, (ROWS, dense.outputs), rate) for name in names]
    kept = np.stack(masks) if dense.members else masks[0]
    return np.where(kept, np.ones(kept.shape) / (1.0 - rate), 0.0)


def torch_drops(model):
    """A function of the step's key: every hidden layer's dropout of ones."""
    modules = [torch_layers.Dropout(dense, model.dropout, CPU) for _, dense in denses(model)]
    ones = [torch.ones(*dense.members, ROWS, dense.outputs, dtype=torch.float64) for _, dense in denses(model)]
    return lambda key: [module(x, key) for module, x in zip(modules, ones, strict=True)]


def jax_drops(model):
    modules = [jax_layers.Dropout(dense, model.dropout) for _, dense in denses(model)]
    shapes = [(*dense.members, ROWS, dense.outputs) for _, dense in denses(model)]
    return lambda key: [module(jnp.ones(shape), key) for module, shape in zip(modules, shapes, strict=True)]


def check(found, model, seed, step):
    layers = denses(model)
    assert any(dense.members for _, dense in layers)  # tied heads are among them
    for (names, dense), x in zip(layers, found, strict=True):
        np.testing.assert_array_equal(np.asarray(x), expected(names, dense, seed, step, model.dropout), str(names))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("seed", "step"), KEYS)
def test_torch_eager(seed, step, rate):
    model = example_model(dropout=rate)
    check(torch_drops(model)(torch.tensor(step_key(seed, step))), model, seed, step)


def test_torch_compiled():
    model = example_model(dropout=0.3)
    compiled = torch.compile(torch_drops(model), fullgraph=True)
    for seed, step in KEYS:
        check(compiled(torch.tensor(step_key(seed, step))), model, seed, step)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_jax(compiled, rate):
    model = example_model(dropout=rate)
    with jax.enable_x64(True):
        drop = jax.jit(jax_drops(model)) if compiled else jax_drops(model)
        for seed, step in KEYS:
            check(drop(jnp.uint32(step_key(seed, step))), model, seed, step)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_jax_without_64_bits(compiled):
    model = example_model(dropout=0.3)
    drop = jax.jit(jax_drops(model)) if compiled else jax_drops(model)
    for seed, step in KEYS:
        for (names, dense), x in zip(denses(model), drop(jnp.uint32(step_key(seed, step))), strict=True):
            wanted = expected(names, dense, seed, step, 0.3)
            np.testing.assert_array_equal(np.asarray(x) > 0, wanted > 0, str(names))
            np.testing.assert_allclose(np.asarray(x), wanted, rtol=1e-6)


@pytest.mark.parametrize("layers", [torch_layers, jax_layers], ids=["torch", "jax"])
def test_no_layer_shares_its_mask_with_another(layers):
    masks = {}
    for names, dense in denses(example_model(dropout=0.5, trunk=(6, 6))):
        module = layers.Dropout(dense, 0.5, *([CPU] if layers is torch_layers else []))
        if layers is torch_layers:
            dropped = module(torch.ones(*dense.members, ROWS, dense.outputs), torch.tensor(step_key(1, 2))).numpy()
        else:
            dropped = np.asarray(module(jnp.ones((*dense.members, ROWS, dense.outputs)), jnp.uint32(step_key(1, 2))))
        masks |= dict(zip(names, dropped > 0 if dense.members else [dropped > 0], strict=True))
    six = {name: mask.tobytes() for name, mask in masks.items() if mask.shape == (ROWS, 6)}
    assert len(six) > 6
    assert len(set(six.values())) == len(six)
