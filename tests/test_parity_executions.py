"""Each execution of each backend draws the same loss curve, whatever is combined.

All of PyTorch's compiled networks here run one after the other in this process: what a later one has otherwise must
not become less exact in it.
"""

import pytest

from tests.combinations import FACTORS, FEW, STEPS, problem
from tests.parity import FEATURES, KINDS, PARAMS_RTOL, WITHIN, both, compare_curves, compare_params, fit

COMPILED = ("step", "epoch")


def small(case):
    """The case with few layers and two tasks at most: what torch.compile takes long for is their number."""
    tasks = {**KINDS, "tied": KINDS["tied"][::3], "untied": KINDS["untied"][2:]}
    return problem(case, trunk=(6,), categorical=FEATURES[:1], tasks=tasks[case[1]])


def test_every_value_occurs():
    for values, found in zip(FACTORS.values(), zip(*FEW, strict=True), strict=True):
        assert values.keys() == set(found)


@pytest.mark.parametrize("case", FEW, ids=", ".join)
@pytest.mark.parametrize("execution", COMPILED)
def test_torch_compiled(execution, case):
    """Every value of every factor, 320 steps, against JAX's compiled executions and PyTorch's eager one."""
    model, train, data = small(case)
    for jax in COMPILED:
        one, other = both(model, train, data, torch=execution, jax=jax, steps=STEPS)
        compare_params(one.params, other.params, PARAMS_RTOL)
    compare_curves(fit("torch", model, train, data, execution="eager").history, one.history, WITHIN)


@pytest.mark.parametrize("case", FEW, ids=", ".join)
def test_jax_eager(case):
    """The same for JAX without jit."""
    model, train, data = small(case)
    _, eager = both(model, train, data, jax="eager", steps=STEPS)
    compare_curves(fit("jax", model, train, data, execution="epoch").history, eager.history, WITHIN)
