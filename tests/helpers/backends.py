"""The backends that the tests take: those in `backends/`, however many."""

import importlib.util
import itertools

import pytest

from spec import backend_names, load_backend

BACKENDS = tuple(backend_names())
PAIRS = tuple(itertools.combinations(BACKENDS, 2))
each_backend = pytest.mark.parametrize("name", BACKENDS)
each_pair = pytest.mark.parametrize("pair", PAIRS, ids="-".join)
"""Any two backends, in one order."""
each_way = pytest.mark.parametrize(("first", "then"), list(itertools.permutations(BACKENDS, 2)))
"""Any two backends, in both orders."""


def installed(name):
    """The backend; the test is skipped if its framework is not installed."""
    try:
        return load_backend(name)
    except ImportError as error:
        if error.name is None or importlib.util.find_spec(error.name.split(".")[0]):
            raise
        pytest.skip(str(error))
