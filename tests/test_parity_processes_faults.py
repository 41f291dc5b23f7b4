"""The comparison of several processes with one goes red: a fault in how they share batches is seen, and located."""

import functools
import re

import pytest

from tests.helpers.backends import installed
from tests.helpers.parity import RTOL, compare_curves
from tests.helpers.planted_processes import FAULTS, fit_with
from tests.helpers.processes import together
from tests.helpers.shared_batches import QUICKEST


@functools.cache
def faulty(backend):
    installed(backend)
    names = [name for name, fault in FAULTS.items() if backend in fault.backends]
    return together(2, fit_with, backend, QUICKEST[backend], names)


@functools.cache
def healthy(backend, case):
    return case.fit(backend, QUICKEST[backend])


@pytest.mark.parametrize(
    ("backend", "name"), [(backend, name) for name, fault in FAULTS.items() for backend in fault.backends]
)
def test_a_fault_is_seen(backend, name):
    fault = FAULTS[name]
    first, second = (results[name] for results in faulty(backend))
    if isinstance(first, str):
        assert first == second
        message = first
    else:
        with pytest.raises(AssertionError) as caught:
            compare_curves(first.history, healthy(backend, fault.case).history, RTOL)
        message = str(caught.value)
    assert re.search(fault.seen, message), message
