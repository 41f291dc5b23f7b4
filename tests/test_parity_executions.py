"""Each execution of each backend draws the same loss curve, whatever is combined.

All of PyTorch's compiled networks here run one after the other in this process: what a later one has otherwise must
not become less exact in it.
"""

import functools
from dataclasses import replace

import numpy as np
import pytest

from spec import PLE, load_backend
from tests.helpers.backends import each_way
from tests.helpers.combinations import FACTORS, FEW, STEPS, problem
from tests.helpers.parity import FEATURES, KINDS, PARAMS_RTOL, RTOL, WITHIN, compare_curves, compare_params, fit
from tests.helpers.runs import quickest

EXECUTIONS = ("eager", "step", "epoch")
cases = pytest.mark.parametrize("case", FEW, ids=", ".join)


SLOW_EPOCHS = 3
"""Of an execution that takes 50 ms a step and more, not twenty: 48 steps, every 16th of them short."""
LEVELS = PLE(shared_experts=1, task_experts=1, levels=2)
"""A level below the last, with its shared gate, by as few experts as can be."""


@functools.cache
def run(case, name, execution, epochs=20):
    """The case with few layers and two tasks at most: what torch.compile takes long for is their number, as do JAX's
    operations one by one. Two heads have hidden layers, a head that stands alone has none; beside it there is one that
    predicts a number, if it is the losses of numbers that differ.
    """
    alone = {kind: (replace(KINDS[kind][0], hidden=()),) for kind in ("binary", "regression", "multiclass")}
    tasks = {**alone, "tied": KINDS["tied"][::3], "untied": KINDS["untied"][2:]}
    number = KINDS["untied"][2:3] if case[1] in ("binary", "multiclass") and case[3] != "usual losses" else ()
    levels = {"sharing": LEVELS} if "ple of 3 levels" in case else {}
    model, train, data = problem(case, trunk=(6,), categorical=FEATURES[:1], tasks=tasks[case[1]] + number, **levels)
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
@each_way
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_every_execution(execution, first, then, case):
    """Every value of every factor, 320 steps, or 48 of an execution that is slow, against the execution of each
    backend that ends first.
    """
    cost = load_backend(first).costs.get(execution)
    slow = cost is not None and cost.step > 10e-3
    if slow and case not in FEW[::2]:
        pytest.skip("an execution that takes 50 ms a step and more is shown by every other case")
    epochs = SLOW_EPOCHS if slow else 20
    one = run(case, first, execution, epochs)
    compare_curves(run(case, first, quickest(first), epochs).history, one.history, WITHIN)
    compare(one, run(case, then, quickest(then), epochs))
