"""Weighted means and variances of rows that come a piece at a time."""

from fractions import Fraction

import numpy as np


def scaled(weight: np.ndarray | None, rows: int) -> tuple[np.ndarray | None, Fraction]:
    """The rows' weights over a power of two, which changes no mean, so that no sum overflows; and their exact sum."""
    if weight is None:
        return None, Fraction(rows)
    exponent = int(np.frexp(weight.max())[1])
    weight = np.ldexp(weight.astype(np.float64), -exponent)
    return weight, Fraction(float(weight.sum())) * Fraction(2) ** exponent


class WeightedMean:
    """The weighted mean of rows that come a piece at a time: of numbers, or of arrays of one shape."""

    def __init__(self) -> None:
        self.value: float | np.ndarray = 0.0
        self._weight = Fraction(0)

    def add(self, mean: float | np.ndarray, weight: Fraction) -> float:
        """Take a piece's mean into account, and the sum of its weights. Returns its share of all weights so far."""
        self._weight += weight
        share = float(weight / self._weight)
        self.value = self.value * (1.0 - share) + mean * share
        return share


class WeightedVariance:
    """The weighted variance of each column of rows (n, columns) that come a piece at a time.

    Pieces are combined as by Chan, Golub & LeVeque, "Algorithms for Computing the Sample Variance", The American
    Statistician, 1983, eq. 2.1, so that it is exactly 0 where all rows are equal and loses no digits where they hardly
    differ.
    """

    def __init__(self) -> None:
        self.value: np.ndarray = np.zeros(())
        self._mean = WeightedMean()
        self._origin: np.ndarray | None = None

    def add(self, rows: np.ndarray, weight: np.ndarray | None, total: Fraction) -> None:
        """Take a piece into account: its rows, and their weights and these weights' sum as `scaled` gives them."""
        if self._origin is None:
            self._origin = rows[0]
        rows = rows - self._origin
        mean, before = np.average(rows, axis=0, weights=weight), self._mean.value
        within = np.average((rows - mean) ** 2, axis=0, weights=weight)
        share = self._mean.add(mean, total)
        self.value = self.value * (1.0 - share) + within * share + share * (1.0 - share) * (mean - before) ** 2
