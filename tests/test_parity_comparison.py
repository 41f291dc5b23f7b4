"""The comparisons that parity rests on: what they let pass, and what they must not."""

import numpy as np
import pytest

from spec import (
    History,
)
from tests.helpers.parity import compare_curves, compare_params


def history(total, **tasks):
    arrays = {name: np.array(curve, dtype=float) for name, curve in tasks.items()}
    return History(
        execution="eager",
        device="cpu",
        threads=1,
        step_loss=np.array(total, dtype=float),
        task_loss=arrays,
        task_weight={},
    )


GOOD = {"total": [3.0, 2.0, 1.0], "a": [1.0, 1.0, 0.5], "b": [2.0, 1.0, 0.5]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"total": [3.0, 2.0, 1.0 + 2e-9]}, "step 2, total: "),
        ({"a": [1.0, 1.0 + 2e-9, 0.5], "b": [2.0, 1.0, 7.0]}, "step 1, a: "),
        ({"b": [2.0 + 1e-6, 1.0, 0.5], "a": [1.0, 1.0, 0.6]}, "step 0, b: "),
        ({"a": [0.5, 1.5, 0.5]}, "step 0, a: "),
        ({"b": [2.0, -1.0, 0.5]}, "step 1, b: "),
        ({"b": [2.0, np.nan, 0.5]}, "step 1, b: "),
        ({"b": [2.0, np.inf, 0.5]}, "step 1, b: "),
        ({"b": [2.0, 1.0]}, "b: .*shapes"),
        ({"total": [[3.0], [2.0], [1.0]]}, "total: .*shapes"),
        ({"c": [2.0, 1.0, 0.5]}, "tasks: "),
    ],
)
def test_curves_that_differ(change, message):
    compare_curves(history(**GOOD), history(**GOOD), 0)
    for pair in ((GOOD, GOOD | change), (GOOD | change, GOOD)):
        with pytest.raises(AssertionError, match=f"^{message}"):
            compare_curves(*(history(**curves) for curves in pair), 1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_two_curves_of_no_numbers_do_not_agree(value):
    curves = GOOD | {"a": [1.0, value, 0.5]}
    with pytest.raises(AssertionError, match=r"^step 1, a: "):
        compare_curves(history(**curves), history(**curves), 1e-9)


def test_two_empty_curves_prove_nothing():
    with pytest.raises(AssertionError, match=r"^a: "):
        compare_curves(history([], a=[]), history([], a=[]), 1e-9)


ARRAYS = {"first": np.array([[1.0, -2.0], [0.0, 4.0]]), "second": np.array([1.0, -1.0]), "third": np.zeros(2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"second": np.array([-1.0, 1.0])}, r"second\[0\]"),  # the same sum
        ({"first": ARRAYS["first"].T.copy()}, r"first\[0, 1\]"),
        ({"first": ARRAYS["first"] + [[0, 0], [5e-9, 0]]}, r"first\[1, 0\]"),
        ({"third": np.array([0.0, 1e-300])}, r"third\[1\]"),
        ({"third": np.array([0.0, np.nan])}, r"third\[1\]"),
        ({"second": np.array([[1.0, -1.0]])}, "second: "),
        ({"second": np.array([1.0, -1.0], dtype=np.float32)}, "second: "),
        ({"fourth": np.zeros(1)}, "names: "),
    ],
)
def test_parameters_that_differ(change, message):
    compare_params(ARRAYS, {name: value.copy() for name, value in ARRAYS.items()}, 0)
    with pytest.raises(AssertionError, match=f"^{message}"):
        compare_params(ARRAYS, ARRAYS | change, 1e-9)


def test_a_difference_within_the_tolerance_passes():
    compare_curves(history(**GOOD), history(**(GOOD | {"a": [1.0 + 5e-10, 1.0, 0.5]})), 1e-9)
    compare_params(ARRAYS, ARRAYS | {"first": ARRAYS["first"] + 3e-9}, 1e-9)


def test_two_parameters_that_are_not_numbers_do_not_agree():
    arrays = {"first": np.array([1.0, np.nan])}
    with pytest.raises(AssertionError, match=r"^first\["):
        compare_params(arrays, arrays, 1.0)
