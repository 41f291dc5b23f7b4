"""The devices of one process of JAX that share each batch draw the curve of one device, to 1e-9 in float64."""

import functools

import pytest

from tests.helpers.backends import installed
from tests.helpers.processes import together
from tests.helpers.shared_batches import CASES, assert_one_curve, fit_all

EXECUTIONS = {2: "step", 4: "epoch"}


@functools.cache
def shared(devices):
    installed("jax")
    runs = [(EXECUTIONS[devices], name) for name in CASES]
    (results,) = together(1, fit_all, "jax", runs, devices=devices)
    return results


@functools.cache
def alone(name):
    return CASES[name].fit("jax", "epoch")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("devices", EXECUTIONS)
def test_devices_draw_one_curve(devices, name):
    fitted = shared(devices)[EXECUTIONS[devices], name]
    assert (fitted.history.processes, fitted.history.execution) == (devices, EXECUTIONS[devices])
    assert fitted.history.step_loss.shape == (CASES[name].steps,)
    assert_one_curve(fitted, alone(name))
