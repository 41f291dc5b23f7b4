"""All backends draw one loss curve whatever is combined."""

import itertools

import pytest

from spec import load_backend
from tests.helpers.backends import each_pair
from tests.helpers.combinations import CASES, FACTORS, STEPS, problem
from tests.helpers.parity import PARAMS_RTOL, WITHIN, both, compare_curves, compare_params, fit


def test_every_pair_of_values_occurs():
    for one, other in itertools.combinations(range(len(FACTORS)), 2):
        values = list(FACTORS.values())
        assert {(case[one], case[other]) for case in CASES} == set(itertools.product(values[one], values[other]))


@each_pair
@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_combinations(case, pair):
    """Every two values of two factors in at least one run, each backend by its quickest execution and in lock step."""
    model, train, data = problem(case)
    fitted = both(pair, model, train, data, steps=STEPS)
    compare_params(fitted[0].params, fitted[1].params, PARAMS_RTOL)
    for name, one in zip(pair, fitted, strict=True):
        execution = load_backend(name).lock_step
        if execution != one.history.execution:
            compare_curves(fit(name, model, train, data, execution=execution).history, one.history, WITHIN)
