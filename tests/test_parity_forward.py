"""Every network gives the logits, and every layer between, that a plain NumPy forward pass gives."""

from contextlib import nullcontext
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from backends.batches import encode_inputs
from backends.jax import layers as jax_layers
from backends.jax.settings import scope
from backends.layout import layout_of
from backends.torch import layers as torch_layers
from backends.torch import model as torch_model
from spec import CategoricalFeature, Dataset, TaskSpec, initial_params, load_backend
from spec.random import step_key
from tests.helpers.backends import BACKENDS, PAIRS, each_pair
from tests.helpers.parity import FEATURES, LISTS, as_precision, compare_params, example_data, example_model
from tests.helpers.plain import plain_layers, plain_logits

RTOL = {"float64": 1e-13, "float32": 1e-5}
HOOKED = ("torch", "jax")
"""Whose layers are looked at one by one, through what the framework has for it."""
ACTIVATIONS = ["relu", "gelu", "silu", "tanh"]

SIXTEEN = tuple(
    TaskSpec(name=f"task_{i}", kind=kind, hidden=(6,) * (i % 3), outputs=1 if kind == "binary" else 3, weight=i / 4)
    for i, kind in enumerate(["binary", "regression", "multiclass", "binary"] * 4)
)

STRUCTURES = {
    "tied heads": example_model("tied"),
    "untied heads": example_model("untied"),
    "one binary task": example_model("binary"),
    "one regression task": example_model("regression"),
    "one multiclass task": example_model("multiclass"),
    "16 tasks": example_model(tasks=SIXTEEN, normalization="layer"),
    "no numbers": example_model(numeric=0),
    "no embeddings": example_model(categorical=()),
    "one feature": example_model(categorical=FEATURES[:1]),
    "one table of two features": example_model(categorical=(FEATURES[0], FEATURES[2])),
    "lists of ids, shared and frozen tables": example_model(categorical=LISTS),
    "one list of ids": example_model(numeric=0, categorical=LISTS[4:5]),
    "frozen tables alone": example_model(categorical=(LISTS[2], LISTS[5])),
    "no numbers, one feature of one id": example_model(
        numeric=0, categorical=(CategoricalFeature(name="constant", vocabulary=1, dimension=1),)
    ),
    "linear heads": example_model(tasks=tuple(replace(task, hidden=()) for task in SIXTEEN)),
    "all widths 1": example_model(
        numeric=1, categorical=(), trunk=(1, 1), tasks=(TaskSpec(name="y", kind="regression", hidden=(1,)),)
    ),
}


def parameters(model, precision, seed=3):
    """Parameters none of which is 0 or 1, not even those of the layer norm: each one counts."""
    draw = np.random.default_rng(seed)
    params = initial_params(model, seed=seed, precision="float64")
    return as_precision({name: value + draw.normal(0, 0.3, value.shape) for name, value in params.items()}, precision)


def logits(name, model, params, data):
    """The native module's outputs."""
    backend, precision = load_backend(name), str(next(iter(params.values())).dtype)
    outputs = backend.forward(model, params, "cpu")("logits", encode_inputs(layout_of(model), data, precision))
    return {task.name: outputs[task.name] for task in model.tasks}


def recorded_layers(name, model, params, data, monkeypatch):
    """What each Dense of the backend gave in one forward pass, by the spec's layer names."""
    outputs = []
    if name == "torch":
        original = torch_model.Network.__init__

        def hooked(self, *arguments):
            original(self, *arguments)
            for module in self.modules():
                if isinstance(module, torch_layers.Dense):
                    module.register_forward_hook(lambda module, _, output: outputs.append(output.numpy(force=True)))

        monkeypatch.setattr(torch_model.Network, "__init__", hooked)
    else:
        call = jax_layers.Dense.__call__

        def recording(self, *arguments):
            output = call(self, *arguments)
            outputs.append(np.asarray(output))
            return output

        monkeypatch.setattr(jax_layers.Dense, "__call__", recording)
    with nullcontext() if name == "torch" else jax.disable_jit():
        logits(name, model, params, data)
    layout = layout_of(model)
    names = [[f"trunk.{i}"] for i in range(len(layout.trunk.layers))]
    names += [
        [f"tasks.{task.name}.{j}" for task in head.tasks] for head in layout.heads for j in range(len(head.layers))
    ]
    found = {}
    for tied, output in zip(names, outputs, strict=True):
        found |= dict(zip(tied, output if len(tied) > 1 else [output], strict=True))
    return found


def check_logits(model, precision, data):
    params = parameters(model, precision)
    by_backend = {name: logits(name, model, params, data) for name in BACKENDS}
    plain = plain_logits(model, as_precision(params, "float64"), data)
    for outputs in by_backend.values():
        assert list(outputs) == [task.name for task in model.tasks]
        for task in model.tasks:
            assert outputs[task.name].shape == (data.rows, task.outputs)
            assert outputs[task.name].dtype == precision
        compare_params(as_precision(outputs, "float64"), plain, RTOL[precision])
    for one, other in PAIRS:
        compare_params(by_backend[one], by_backend[other], RTOL[precision])


@pytest.mark.parametrize("precision", RTOL)
@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_logits_of_every_activation(activation, normalization, precision):
    model = example_model(activation=activation, normalization=normalization)
    check_logits(model, precision, example_data(model, 33))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_logits_far_from_zero(activation):
    model = example_model(activation=activation, categorical=())
    data = Dataset(numeric=np.outer([-1e3, -30.0, -5.0, 0.0, 1e-9, 5.0, 30.0, 1e3], [1.0, -2.0, 0.5, 3.0]))
    check_logits(model, "float64", data)


@pytest.mark.parametrize("precision", RTOL)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_logits_of_every_structure(structure, precision):
    model = STRUCTURES[structure]
    check_logits(model, precision, example_data(model, 17))


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_logits_of_any_number_of_rows(rows):
    model = example_model(normalization="layer")
    check_logits(model, "float64", example_data(model, rows))


@pytest.mark.parametrize("name", HOOKED)
@pytest.mark.parametrize("precision", RTOL)
@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_layer_gives_what_numpy_gives(name, activation, normalization, precision, monkeypatch):
    model = example_model("tied", activation=activation, normalization=normalization)
    params, data = parameters(model, precision), example_data(model, 9)
    found = recorded_layers(name, model, params, data, monkeypatch)
    plain = plain_layers(model, as_precision(params, "float64"), data)
    assert found.keys() == plain.keys()
    assert {output.dtype for output in found.values()} == {np.dtype(precision)}
    compare_params(as_precision({layer: found[layer] for layer in plain}, "float64"), plain, RTOL[precision])


@pytest.mark.parametrize("name", HOOKED)
@pytest.mark.parametrize(("seed", "step"), [(0, 0), (42, 319), (2**32 - 1, 100_000)])
def test_dropout_stands_after_the_activation_of_every_hidden_layer(name, seed, step):
    model = example_model("tied", dropout=0.3, normalization="layer", activation="silu")
    params, data = parameters(model, "float64"), example_data(model, 20)
    network = load_backend(name).build(model, params, device="cpu")
    inputs = encode_inputs(layout_of(model), data, "float64")
    key = step_key(seed, step)
    if name == "torch":
        tensors = {column: torch.from_numpy(array) for column, array in inputs.items()}
        native = network(**tensors, dropout_key=torch.tensor(key))
        found = {task: x.numpy(force=True) for task, x in native.items()}
    else:
        with scope(np.dtype("float64"), load_backend(name).native_device("cpu")):
            native = network(**inputs, dropout_key=jnp.uint32(key))
            found = {task: np.asarray(x) for task, x in native.items()}
    compare_params(found, plain_logits(model, params, data, dropout=(seed, step)), 1e-13)


@each_pair
@pytest.mark.parametrize("precision", RTOL)
def test_predictions(precision, pair):
    model = example_model("tied", normalization="layer", dropout=0.5)
    params, data = parameters(model, precision), example_data(model, 40)
    one, other = (load_backend(name).predict(model, params, data, device="cpu") for name in pair)
    compare_params(one, other, RTOL[precision])
