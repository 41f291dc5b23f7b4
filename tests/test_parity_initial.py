"""The native modules hold the spec's parameters: the same names, the same shapes, the same bits."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings

from backends.capabilities import UnsupportedError
from backends.layout import layout_of
from backends.torch.model import Network as TorchNetwork
from spec import SGD, SharedBottom, TaskSpec, TrainSpec, initial_params, load_backend, parameter_shapes, presets
from tests.helpers.backends import each_backend
from tests.helpers.parity import compare_params, example_data, example_model
from tests.helpers.strategies import model_specs, repeatable

MODULES = ("torch", "jax")
"""Whose native modules are looked into, through what the framework has for it."""


def native_parameters(network):
    """The parameters of a native module by the module's own names, as NumPy arrays."""
    if isinstance(network, TorchNetwork):
        return {name: tensor.numpy(force=True) for name, tensor in network.named_parameters()}
    from flax import nnx

    flat = nnx.to_flat_state(nnx.state(network))
    return {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in flat}


def spec_parameters(model, network):
    """A native module's parameters as the spec names them: each native tensor is one, or a stack of like ones."""
    layout, native, shapes = layout_of(model), native_parameters(network), parameter_shapes(model)
    assert native.keys() == layout.native.keys()
    found = {}
    for name, tensor in layout.native.items():
        assert native[name].shape == tensor.shape, name
        sizes = [int(np.prod(shapes[part])) for part in tensor.parts]
        bounds = pairwise(np.cumsum([0, *sizes]).tolist())
        for part, (start, stop) in zip(tensor.parts, bounds, strict=True):
            found[part] = native[name].ravel()[start:stop].reshape(shapes[part])
        assert sum(sizes) == native[name].size, name
    return {name: found[name] for name in shapes}


SIXTEEN = tuple(
    TaskSpec(name=f"task_{i}", kind=kind, hidden=(3,) * (i % 3), outputs=2 if kind == "multiclass" else 1)
    for i, kind in enumerate(["binary", "regression", "multiclass", "binary"] * 4)
)


def edges(test):
    """Beside the generated specs: one task, sixteen tasks, no hidden layer in any head, no numbers, no embeddings."""
    for model in (
        example_model("binary"),
        example_model(tasks=SIXTEEN, normalization="layer"),
        example_model(tasks=tuple(replace(task, hidden=()) for task in SIXTEEN)),
        example_model(numeric=0),
        example_model(categorical=()),
    ):
        test = example(model)(test)
    return test


@edges
@settings(repeatable, max_examples=25)
@given(model_specs())
def test_the_modules_hold_the_initial_parameters_bit_for_bit(model):
    for precision in ("float32", "float64"):
        params = initial_params(model, seed=7, precision=precision)
        for name in MODULES:
            built = spec_parameters(model, load_backend(name).build(model, params, device="cpu"))
            compare_params(params, built, rtol=0)


@each_backend
@settings(repeatable, max_examples=12)  # JAX compiles each
@given(model=model_specs())
def test_gradients_have_the_names_and_shapes_of_the_parameters(name, model):
    try:
        load_backend(name).check_model(model)
    except UnsupportedError:  # a backend that has less than the others shows what it has
        tasks = tuple(replace(task, loss=None, given=None, more_metrics=()) for task in model.tasks)
        model = replace(model, sharing=SharedBottom(), tasks=tasks)
    params, data = initial_params(model, seed=1), example_data(model, 3)
    shapes = parameter_shapes(model)
    _, gradients = load_backend(name).gradients(model, params, data, device="cpu")
    assert list(gradients) == list(shapes)
    assert {key: value.shape for key, value in gradients.items()} == shapes
    assert {value.dtype for value in gradients.values()} == {np.dtype("float32")}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    "model", [presets.tutorial_model(), example_model(normalization="layer")], ids=["tutorial", "all"]
)
def test_the_modules_have_every_parameter_of_the_spec_and_no_other(name, model):
    network = load_backend(name).build(model, initial_params(model), device="cpu")
    held = sum(array.size for array in native_parameters(network).values())
    assert held == sum(int(np.prod(shape)) for shape in parameter_shapes(model).values())


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_copies_of_its_own(name):
    model = example_model()
    params = initial_params(model, precision="float64")
    network = load_backend(name).build(model, params, device="cpu")
    for value in params.values():
        value += 1.0
    compare_params(initial_params(model, precision="float64"), spec_parameters(model, network), rtol=0)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@each_backend
def test_training_starts_from_the_specs_initial_parameters(name, precision):
    model = example_model()
    train = TrainSpec(optimizer=SGD(), seed=11, epochs=1, batch_size=8, precision=precision, device="cpu")
    data, backend = example_data(model, 8), load_backend(name)
    params = initial_params(model, seed=11, precision=precision)
    compare_params(
        backend.fit(model, train, data).params, backend.fit(model, train, data, params=params).params, rtol=0
    )
