"""Each execution of each backend draws the same loss curve, whatever is combined.

All of PyTorch's compiled networks here run one after the other in this process: what a later one has otherwise must
not become less exact in it.
"""

import functools

import numpy as np
import pytest

from tests.helpers.combinations import FACTORS, FEW, STEPS, problem
from tests.helpers.parity import FEATURES, KINDS, PARAMS_RTOL, RTOL, WITHIN, compare_curves, compare_params, fit

COMPILED = ("step", "epoch")
cases = pytest.mark.parametrize("case", FEW, ids=", ".join)


SLOW, SLOW_EPOCHS = ("gradnorm", "pcgrad"), 3
"""A backward pass for each task takes JAX without jit 0.1 s a step: three epochs, where the others have twenty."""


@functools.cache
def run(case, name, execution, epochs=20):
    """The case with few layers and two tasks at most: what torch.compile takes long for is their number."""
    tasks = {**KINDS, "tied": KINDS["tied"][::3], "untied": KINDS["untied"][2:]}
    model, train, data = problem(case, trunk=(6,), categorical=FEATURES[:1], tasks=tasks[case[1]])
    fitted = fit(name, model, train, data, execution=execution, epochs=epochs)
    assert fitted.history.execution == execution
    assert fitted.history.step_loss.shape == (STEPS // 20 * epochs,)
    assert np.isfinite(fitted.history.step_loss).all()
    return fitted


def compare(one, other):
    compare_curves(one.history, other.history, RTOL)
    compare_params(one.params, other.params, PARAMS_RTOL)


def test_every_value_occurs():
    for values, found in zip(FACTORS.values(), zip(*FEW, strict=True), strict=True):
        assert values.keys() == set(found)


@cases
@pytest.mark.parametrize("execution", COMPILED)
def test_torch_compiled(execution, case):
    """Every value of every factor, 320 steps, against JAX's compiled executions and PyTorch's eager one."""
    one = run(case, "torch", execution)
    for jax in COMPILED:
        compare(one, run(case, "jax", jax))
    compare_curves(run(case, "torch", "eager").history, one.history, WITHIN)


@cases
def test_jax_eager(case):
    """The same for JAX without jit."""
    epochs = SLOW_EPOCHS if set(SLOW) & set(case) else 20
    eager = run(case, "jax", "eager", epochs)
    compare(run(case, "torch", "eager", epochs), eager)
    compare_curves(run(case, "jax", "epoch", epochs).history, eager.history, WITHIN)
