"""The order of the rows in an epoch."""

import numpy as np
import pytest

from spec.data import row_order


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_the_row_order_is_a_permutation(rows):
    order = row_order(42, 0, rows)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(rows))


def test_every_seed_and_every_epoch_has_an_order_of_its_own():
    keys = [(seed, epoch) for seed in (0, 1, 2**32 - 1) for epoch in (0, 1, 2)]
    assert len({tuple(row_order(*key, 100)) for key in keys}) == len(keys)


def test_the_row_order_does_not_depend_on_what_was_drawn_before():
    """Neither on NumPy's global generator nor on earlier epochs: tests/test_draws.py has the same numbers."""
    np.random.seed(1)
    for epoch in range(3):
        row_order(42, epoch, 10)
    assert row_order(42, 3, 10).tolist() == [4, 3, 7, 2, 5, 1, 9, 8, 0, 6]
