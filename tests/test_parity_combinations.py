"""Both backends draw one loss curve whatever is combined."""

import itertools

import pytest

from tests.helpers.combinations import CASES, FACTORS, STEPS, problem
from tests.helpers.parity import PARAMS_RTOL, WITHIN, both, compare_curves, compare_params, fit


def test_every_pair_of_values_occurs():
    for one, other in itertools.combinations(range(len(FACTORS)), 2):
        values = list(FACTORS.values())
        assert {(case[one], case[other]) for case in CASES} == set(itertools.product(values[one], values[other]))


@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_combinations(case):
    """Every two values of two factors in at least one run, of both backends and both of JAX's compiled executions."""
    model, train, data = problem(case)
    one, other = both(model, train, data, steps=STEPS)
    compare_params(one.params, other.params, PARAMS_RTOL)
    compare_curves(fit("jax", model, train, data, execution="step").history, other.history, WITHIN)
