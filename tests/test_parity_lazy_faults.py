"""What the plain NumPy version sees: faults in what the backends share would be the same in all of them.

That each backend's curve gives them away to another one: `test_parity_faults`.
"""

import functools
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.faults import MODEL, RTOL, TRAIN, fresh_runs, rows_of, run
from tests.helpers.plain_training import train_plainly
from tests.helpers.planted_lazy import LAZY_FAULTS

OF_TORCH = [name for name, fault in LAZY_FAULTS.items() if fault.side == "torch"]
plain = functools.cache(lambda model, train: train_plainly(model, train, rows_of(model)))


@pytest.mark.parametrize("name", OF_TORCH)
def test_a_fault_is_seen_at_the_first_step_where_it_can_show(name, monkeypatch):
    fault = LAZY_FAULTS[name]
    model, train = replace(MODEL, **fault.model), replace(TRAIN, **fault.train, epochs=3)
    expected = plain(model, train).total
    np.testing.assert_allclose(run("torch", model, train).history.step_loss, expected, rtol=RTOL)
    with fresh_runs(), monkeypatch.context() as patch:
        arguments = fault.plant(patch) or {}
        faulty = run("torch", model, replace(train, **arguments.get("train", {})))
    differs = np.abs(faulty.history.step_loss / expected - 1) > RTOL
    assert np.argmax(differs) == fault.step > 0
