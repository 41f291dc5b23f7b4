"""Every way of sharing: each expert, each gate, the logits and the gradients are those of a plain NumPy network."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from backends.batches import encode_inputs
from backends.jax import experts as jax_experts
from backends.jax import layers as jax_layers
from backends.jax.settings import scope
from backends.layout import layout_of
from backends.torch import experts as torch_experts
from backends.torch import layers as torch_layers
from spec import initial_params, load_backend, parameter_shapes
from spec.random import step_key
from tests.helpers.backends import BACKENDS, each_backend
from tests.helpers.parity import as_precision, compare_params
from tests.helpers.plain import imaginary_steps, plain_layers, plain_logits, plain_losses
from tests.helpers.sharing_models import SHARINGS, SMALL, TASKS, data_of, model_of
from tests.test_parity_forward import HOOKED, RTOL, parameters

ways = pytest.mark.parametrize("way", SHARINGS)


def recorded(name, model, params, data, monkeypatch, key=None):
    """What each layer gave in one forward pass, and each gate, by the spec's names."""
    layout, outputs = layout_of(model), []
    kinds, call = {
        "torch": ((torch_layers.Dense, torch_experts.Gate), "forward"),
        "jax": ((jax_layers.Dense, jax_experts.Gate), "__call__"),
    }[name]
    for kind in kinds:
        original = getattr(kind, call)

        def recording(self, *arguments, original=original):
            outputs.append(original(self, *arguments))
            return outputs[-1]

        monkeypatch.setattr(kind, call, recording)
    network = load_backend(name).build(model, params, device="cpu")
    inputs = encode_inputs(layout, data, str(next(iter(params.values())).dtype))
    if name == "torch":
        network(**{c: torch.from_numpy(x) for c, x in inputs.items()}, dropout_key=key and torch.tensor(key))
        outputs = [output.numpy(force=True) for output in outputs]
    else:
        with scope(next(iter(params.values())).dtype, load_backend(name).native_device("cpu")):
            network(**inputs, dropout_key=key and jnp.uint32(key))
            outputs = [np.asarray(output) for output in outputs]
    found = {}

    def take(names, tied):
        output = outputs.pop(0)
        found.update(zip(names, output if tied else [output], strict=True))

    for i in range(len(layout.trunk.layers) if layout.trunk else 0):
        take([f"{member.name}.{i}" for member in layout.trunk.members], layout.trunk.tied)
    for level in layout.levels:
        for i in range(len(level.experts.layers)):
            take([f"{expert.name}.{i}" for expert in level.experts.members], level.experts.tied)
        for gates in (level.task_gates, level.shared_gate):
            if gates:
                take([gate.layer.name for gate in gates.members], len(gates.shape) == 3)
    for head in layout.heads:
        for i in range(len(head.layers)):
            take([f"{member.name}.{i}" for member in head.members], head.tied)
    assert not outputs
    return found


EXAMPLES = [(way, "float64") for way in SHARINGS] + [("mmoe", "float32"), ("ple of 3 levels", "float32")]


@pytest.mark.parametrize("name", HOOKED)
@pytest.mark.parametrize(("way", "precision"), EXAMPLES)
def test_every_expert_and_gate_gives_what_numpy_gives(way, precision, name, monkeypatch):
    """With layer norm and dropout in the experts; in float32 without dropout."""
    dropped = (42, 319) if precision == "float64" else None
    model = model_of(way, normalization="layer", activation="gelu", dropout=0.3)
    params, data = parameters(model, precision), data_of(model, 7)
    found = recorded(name, model, params, data, monkeypatch, key=dropped and int(step_key(*dropped)))
    plain = plain_layers(model, as_precision(params, "float64"), data, dropped)
    assert found.keys() == plain.keys()
    assert {output.dtype for output in found.values()} == {np.dtype(precision)}
    compare_params(as_precision({layer: found[layer] for layer in plain}, "float64"), plain, RTOL[precision])


DIFFERENTIATED = [
    ("shared bottom", "conditional"),
    ("shared bottom", "options"),
    ("separate", "conditional"),
    ("separate", "amounts"),
    ("mmoe", "options"),
    ("mmoe", "amounts"),
    ("mmoe of one expert", "defaults"),
    ("ple", "conditional"),
    ("ple", "amounts"),
    ("ple of 3 levels", "defaults"),
    ("ple of 3 levels", "conditional"),
]


def gates_of(model):
    """The names of its gates, without "kernel"."""
    return [name.removesuffix(".kernel") for name in parameter_shapes(model) if "gates" in name.split(".")]


@ways
@each_backend
def test_the_gates_weights_are_those_of_numpy(name, way):
    model = model_of(way, "conditional", normalization="layer")
    params, data = parameters(model, "float64"), data_of(model, 9)
    weights = load_backend(name).gates(model, params, data)
    assert list(weights) == gates_of(model)
    for gate, of_gate in weights.items():
        assert of_gate.shape == (9, params[f"{gate}.kernel"].shape[1])
        np.testing.assert_allclose(of_gate.sum(axis=1), 1.0, rtol=1e-14)
    plain = plain_layers(model, params, data)
    compare_params(weights, {gate: plain[gate] for gate in weights}, 1e-13)


@ways
def test_logits_of_a_network_of_one_task(way):
    """The axis of tasks has one place."""
    model = replace(model_of(way, trunk=(3,)), tasks=TASKS["amounts"][1:2])
    params, data = parameters(model, "float64"), data_of(model, 5)
    for name in BACKENDS:
        backend = load_backend(name)
        logits = backend.forward(model, params, "cpu")("logits", encode_inputs(layout_of(model), data, "float64"))
        compare_params(logits, plain_logits(model, params, data), 1e-13)


def test_every_way_and_every_loss_is_differentiated():
    assert {way for way, _ in DIFFERENTIATED} == set(SHARINGS)
    assert {tasks for _, tasks in DIFFERENTIATED} == set(TASKS)


@pytest.mark.parametrize(("way", "tasks"), DIFFERENTIATED)
def test_gradients_of_whole_networks(way, tasks):
    """Each parameter's, against a step along it that rounds nothing away; layer norm in the experts."""
    model = model_of(way, tasks, **SMALL, normalization="layer")
    data = data_of(model, 12)
    params = initial_params(model, seed=5, precision="float64")
    losses, of_tasks = plain_losses(model, params, data), imaginary_steps(model, params, data)
    total = sum(task.weight * losses[task.name] for task in model.tasks)
    slopes = {key: sum(task.weight * of_tasks[task.name][key] for task in model.tasks) for key in params}
    for name in BACKENDS:
        loss, gradients = load_backend(name).gradients(model, params, data, device="cpu")
        assert loss == pytest.approx(total, rel=1e-13)
        compare_params(gradients, slopes, 1e-9)
    idle = [key for key, slope in slopes.items() if not slope.any()]
    assert idle == ([f"{gate}.kernel" for gate in gates_of(model)] if way == "mmoe of one expert" else [])


@pytest.mark.parametrize("name", HOOKED)
@ways
def test_the_native_module_has_the_parameters_of_the_layout(name, way):
    model = model_of(way)
    network = load_backend(name).build(model, initial_params(model), device="cpu")
    if name == "torch":
        shapes = {key: tuple(tensor.shape) for key, tensor in network.named_parameters()}
    else:
        flat = nnx.to_flat_state(nnx.state(network, nnx.Param))
        shapes = {".".join(map(str, path)): leaf.shape for path, leaf in flat}
    assert shapes == {key: tensor.shape for key, tensor in layout_of(model).native.items()}
