"""The learning rate of every step, against values written by hand and a plain loop."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec import SGD, Schedule, TrainSpec, learning_rates
from tests.helpers.strategies import repeatable, schedules

KINDS = ["constant", "linear", "cosine"]
ROOT_HALF = math.sqrt(0.5)


def rates(steps, *, learning_rate=1.0, **schedule):
    return learning_rates(TrainSpec(optimizer=SGD(learning_rate=learning_rate), schedule=Schedule(**schedule)), steps)


def plain_loop(learning_rate, schedule, steps):
    expected = []
    for step in range(steps):
        if step < schedule.warmup_steps:
            factor = (step + 1) / schedule.warmup_steps
        else:
            progress = (step - schedule.warmup_steps) / (steps - schedule.warmup_steps)
            factor = {
                "constant": 1.0,
                "linear": 1.0 + (schedule.final - 1.0) * progress,
                "cosine": schedule.final + (1.0 - schedule.final) * math.cos(math.pi * progress / 2.0) ** 2,
            }[schedule.kind]
        expected.append(learning_rate * factor)
    return expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"kind": "constant"}, [1, 1, 1, 1]),
        ({"kind": "constant", "warmup_steps": 4}, [0.25, 0.5, 0.75, 1, 1, 1]),
        ({"kind": "constant", "final": 0.3}, [1, 1, 1]),
        ({"kind": "linear"}, [1, 0.75, 0.5, 0.25]),
        ({"kind": "linear"}, [1]),
        ({"kind": "linear", "final": 0.2}, [1, 0.8, 0.6, 0.4]),
        ({"kind": "linear", "final": 1.0}, [1, 1, 1]),
        ({"kind": "linear", "warmup_steps": 2}, [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ({"kind": "linear", "warmup_steps": 1}, [1, 1, 0.5]),
        ({"kind": "cosine"}, [1, (1 + ROOT_HALF) / 2, 0.5, (1 - ROOT_HALF) / 2]),
        ({"kind": "cosine", "final": 0.5}, [1, 0.875, 0.625]),
        ({"kind": "cosine", "warmup_steps": 2, "final": 0.5}, [0.5, 1, 1, 0.875, 0.625]),
    ],
)
@pytest.mark.parametrize("learning_rate", [1.0, 1e-3])
def test_values_by_hand(schedule, expected, learning_rate):
    found = rates(len(expected), learning_rate=learning_rate, **schedule)
    np.testing.assert_allclose(found, learning_rate * np.array(expected), rtol=1e-15)


@repeatable
@given(st.floats(1e-6, 10.0), schedules, st.integers(0, 50))
def test_every_step_is_that_of_a_plain_loop(learning_rate, schedule, steps):
    found = learning_rates(TrainSpec(optimizer=SGD(learning_rate=learning_rate), schedule=schedule), steps)
    assert found.dtype == np.float64
    assert found.shape == (steps,)
    np.testing.assert_allclose(found, plain_loop(learning_rate, schedule, steps), rtol=1e-12, atol=1e-15)


def test_the_default_is_the_optimizers_own_rate():
    np.testing.assert_array_equal(learning_rates(TrainSpec(optimizer=SGD(learning_rate=0.1)), 5), np.full(5, 0.1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_warm_up_starts_above_zero_and_reaches_the_full_rate(kind):
    found = rates(100, learning_rate=0.1, kind=kind, warmup_steps=8)
    assert found[0] == 0.1 / 8
    np.testing.assert_allclose(np.diff(found[:8]), 0.1 / 8, rtol=1e-12)
    assert found[7] == found[8] == 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [3, 4])
def test_a_run_no_longer_than_the_warm_up_only_climbs(kind, steps):
    warmup = rates(steps, kind=kind, warmup_steps=4, final=0.5)
    np.testing.assert_array_equal(warmup, [0.25, 0.5, 0.75, 1.0][:steps])


@pytest.mark.parametrize("final", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_decay_falls_to_its_final_factor_one_step_after_the_last(kind, final):
    found = rates(1000, kind=kind, final=final)
    share = {"linear": 1 / 1000, "cosine": math.sin(math.pi / 2000) ** 2}[kind]
    assert found[0] == 1.0
    assert (np.diff(found) <= 0.0).all()
    np.testing.assert_allclose(found[-1], final + (1.0 - final) * share, rtol=1e-9)
