"""All backends draw one loss curve whatever is combined."""

import itertools

import pytest

from spec import load_backend
from tests.helpers.backends import each_pair
from tests.helpers.combinations import CASES, EXECUTIONS, FACTORS, STEPS, problem
from tests.helpers.parity import PARAMS_RTOL, WITHIN, both, compare_curves, compare_params, fit


def test_every_pair_of_values_occurs():
    values = [*FACTORS.values(), EXECUTIONS]
    for one, other in itertools.combinations(range(len(values)), 2):
        assert {(case[one], case[other]) for case in CASES} == set(itertools.product(values[one], values[other]))


@each_pair
@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_combinations(case, pair):
    """Every two values of two factors in at least one run, and every value by both ways to execute it: of what is run
    in lock step, each backend's quickest execution has the same curve.
    """
    model, train, data = problem(case)
    if case[-1] == "quickest":
        fitted = both(pair, model, train, data, steps=STEPS)
    else:
        lock_step = {name: load_backend(name).lock_step for name in pair}
        fitted = both(pair, model, train, data, steps=STEPS, **lock_step)
        for name, one in zip(pair, fitted, strict=True):
            quickest = load_backend(name).best_execution(model, train, STEPS)
            if quickest != lock_step[name]:
                compare_curves(fit(name, model, train, data, execution=quickest).history, one.history, WITHIN)
    compare_params(fitted[0].params, fitted[1].params, PARAMS_RTOL)
