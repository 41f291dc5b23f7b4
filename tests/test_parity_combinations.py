"""All backends draw one loss curve whatever is combined."""

import itertools

import pytest

from spec import load_backend
from tests.helpers.backends import each_pair
from tests.helpers.combinations import CASES, EXECUTIONS, FACTORS, STEPS, problem
from tests.helpers.parity import PARAMS_RTOL, both, compare_params


def test_every_pair_of_values_occurs():
    values = [*FACTORS.values(), EXECUTIONS]
    for one, other in itertools.combinations(range(len(values)), 2):
        assert {(case[one], case[other]) for case in CASES} == set(itertools.product(values[one], values[other]))


@each_pair
@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_combinations(case, pair):
    """Every two values of two factors in at least one run, and every value by both ways to execute it."""
    model, train, data = problem(case)
    lock_step = {name: load_backend(name).lock_step for name in pair} if case[-1] == "lock step" else {}
    one, other = both(pair, model, train, data, steps=STEPS, **lock_step)
    compare_params(one.params, other.params, PARAMS_RTOL)
