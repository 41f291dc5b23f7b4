"""Whatever the caller has set in its process: our calls give the same numbers, and leave the settings as they were."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from spec import Adam, PCGrad, initial_params, load_backend
from tests.helpers.runs import training


def answers(backend, model, data, execution, precision):
    """What fit, gradients, predict and the native module give, as arrays by name."""
    train = training(backend, optimizer=Adam(), execution=execution, precision=precision, batch_size=8, epochs=1)
    params = initial_params(model, precision=precision)
    fitted = backend.fit(model, train, data)
    projected = backend.fit(model, replace(train, balancing=PCGrad()), data) if execution == "eager" else fitted
    loss, gradients = backend.gradients(model, params, data)
    return {
        "loss": np.array(loss),
        "curve": fitted.history.step_loss,
        "projected": projected.history.step_loss,
        **fitted.params,
        **{f"gradient of {name}": gradient for name, gradient in gradients.items()},
        **{f"prediction of {task}": values for task, values in backend.predict(model, params, data).items()},
        "output of the trunk": backend.predictor(model, params).trunk_outputs(data)["click"],
    }


def same_answers(backend, model, data, setting, execution, state, precisions=("float32", "float64")):
    """Of a network with few layers, which take long to compile: one in the trunk, one in the heads that are tied."""
    tasks = tuple(replace(task, hidden=task.hidden if task.kind == "binary" else ()) for task in model.tasks)
    model = replace(model, trunk=(6,), tasks=tasks, dropout=0.25, normalization="layer")
    for precision in precisions:
        expected = answers(backend, model, data, execution, precision)
        with setting():
            before = state()
            received = answers(backend, model, data, execution, precision)
            assert state() == before
        assert received.keys() == expected.keys()
        for name, value in expected.items():
            assert received[name].dtype == value.dtype
            np.testing.assert_array_equal(received[name], value, err_msg=name)


@contextmanager
def changed(read, write, value):
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


def torch_settings():
    torch = pytest.importorskip("torch")
    deterministic = (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms)
    return {
        "no gradients": lambda: torch.set_grad_enabled(False),
        "no_grad": torch.no_grad,
        "inference mode": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "float64 by default": lambda: changed(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
        "bfloat16 by default": lambda: changed(torch.get_default_dtype, torch.set_default_dtype, torch.bfloat16),
        "no device by default": lambda: torch.device("meta"),
        "deterministic algorithms": lambda: changed(*deterministic, True),
    }


TORCH = ["no gradients", "no_grad", "inference mode", "autocast", "float64 by default", "bfloat16 by default"]
TORCH += ["no device by default", "deterministic algorithms"]


def torch_state():
    import torch

    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
    )


@pytest.mark.parametrize("setting", TORCH)
def test_torch_eager(model, data, setting):
    settings = torch_settings()
    same_answers(load_backend("torch"), model, data, settings[setting], "eager", torch_state)


@pytest.mark.parametrize("execution", ["step", "epoch"])
def test_torch_compiled(model, data, execution):
    """One compilation serves the settings that hold for a thread."""
    settings, torch = torch_settings(), pytest.importorskip("torch")
    graphs = torch._dynamo.utils.counters["stats"]
    for setting in ("no gradients", "inference mode", "autocast", "no device by default"):
        same_answers(
            load_backend("torch"), model, data, settings[setting], execution, torch_state, precisions=["float32"]
        )
        if setting == "no gradients":
            first = graphs["unique_graphs"]
        if setting != "no device by default":
            assert graphs["unique_graphs"] == first


@pytest.mark.parametrize("setting", ["no gradients", "inference mode"])
def test_a_torch_module_can_be_trained_wherever_it_was_built(model, data, setting):
    import torch

    with torch_settings()[setting]():
        network = load_backend("torch").build(model, initial_params(model, precision="float64"))
    assert all(parameter.requires_grad for parameter in network.parameters())
    logits = network(torch.from_numpy(data.numeric), torch.from_numpy(data.categorical))
    sum(x.square().mean() for x in logits.values()).backward()
    assert all(parameter.grad.any() for parameter in network.parameters())


JAX = {
    "jax_enable_x64": [True, False],
    "jax_default_matmul_precision": ["bfloat16"],
    "jax_numpy_dtype_promotion": ["strict"],
    "jax_numpy_rank_promotion": ["raise"],
    "jax_transfer_guard": ["disallow"],
}


@pytest.mark.parametrize(("setting", "value"), [(setting, value) for setting in JAX for value in JAX[setting]])
def test_jax(model, data, setting, value):
    jax = pytest.importorskip("jax")
    pytest.importorskip("flax")

    def state():
        return getattr(jax.config, setting)

    def write(value):
        jax.config.update(setting, value)

    same_answers(load_backend("jax"), model, data, lambda: changed(state, write, value), "step", state)
