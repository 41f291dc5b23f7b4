"""Quantiles of the training rows, and the two encodings of numbers that they give: the quantile transform and bins.

They are learnt in one pass and in bounded memory: from all numbers of a column while these are few, else from a sample.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.special import ndtri

from spec.random import MASK, layer_key, mix

SAMPLE = 2**18
"""The most numbers of a column that quantiles are computed from."""

LANDMARKS = 1000
"""The most quantiles that the quantile transform interpolates between."""

SMALLEST_SHARE = 1e-7
"""Shares are clipped to [this, 1 - this] before the normal distribution's inverse, which is then within ±5.2."""


class Sample:
    """All numbers of a column if they are at most SAMPLE, else SAMPLE of them.

    Which they are is decided by a hash of the row's number among the training rows, and by which rows have a number.
    It does not depend on the numbers, nor on how the rows are divided into files and blocks. Every sample of that size
    is as likely as any other, as far as the hash is random. Memory: 12 bytes a number, and as much for a block.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._numbers, self._hashes = np.empty(0), np.empty(0, np.uint32)
        self._limit = MASK  # the largest hash of a row that can still be in the sample

    def add(self, numbers: np.ndarray) -> None:
        """Take the numbers of the next block's rows into account: float64 (n,), NaN where a number is missing."""
        rows = np.arange(self._rows, self._rows + len(numbers))
        self._rows += len(numbers)
        hashes = mix((rows & MASK) ^ layer_key("quantiles")).astype(np.uint32)
        chosen = ~np.isnan(numbers) & (hashes <= self._limit)
        self._numbers = np.concatenate([self._numbers, numbers[chosen]])
        self._hashes = np.concatenate([self._hashes, hashes[chosen]])
        if len(self._numbers) > SAMPLE:
            smallest = np.argsort(self._hashes, kind="stable")[:SAMPLE]  # of equal hashes, that of the earlier row
            self._numbers, self._hashes = self._numbers[smallest], self._hashes[smallest]
            self._limit = int(self._hashes[-1])

    @property
    def numbers(self) -> np.ndarray:
        """The numbers in the sample, in ascending order: float64."""
        return np.sort(self._numbers)


def landmarks(numbers: np.ndarray) -> tuple[float, ...]:
    """The quantiles of `numbers`, float64 (n,), at levels of equal distances from 0 to 1.

    They are as many as there are numbers, but at least 2 and at most LANDMARKS.
    """
    return tuple(_quantiles(numbers, min(max(len(numbers), 2), LANDMARKS)).tolist())


def spread(numbers: np.ndarray, quantiles: Sequence[float], distribution: Literal["normal", "uniform"]) -> np.ndarray:
    """The quantile transform of numbers: float64 (n,), NaN where a number is NaN.

    numbers: float64 (n,).
    quantiles: what `landmarks` returned for the training rows' numbers.
    distribution: the distribution that the training rows' numbers have afterwards, roughly.

    uniform: the share s(x) = (first(x) + last(x)) / 2. Both are the level of x, interpolated linearly between the
    quantiles; where x equals several of them, `first` takes the lowest of their levels and `last` the highest. If they
    are of n ≤ LANDMARKS numbers, then s(x) = (smaller + (equal - 1) / 2) / (n - 1) for each number x of these, where
    `smaller` and `equal` count those below x and those equal to x. A number below all of them becomes 0, and a number
    above all of them 1.
    normal: Φ⁻¹(s), where Φ is the standard normal distribution's function, and s is first clipped to
    [SMALLEST_SHARE, 1 - SMALLEST_SHARE].
    """
    ascending, levels = np.array(quantiles), np.linspace(0, 1, len(quantiles))
    last = np.interp(numbers, ascending, levels)
    first = 1 - np.interp(-numbers, -ascending[::-1], levels)  # the same, seen from the other end
    shares = (first + last) / 2
    if distribution == "uniform":
        return shares
    normal: np.ndarray = ndtri(np.clip(shares, SMALLEST_SHARE, 1 - SMALLEST_SHARE))
    return normal


def bin_edges(numbers: np.ndarray, bins: int) -> tuple[float, ...]:
    """The edges of bins that have equally many of the numbers: their distinct quantiles at levels 0, 1/bins, …, 1.

    numbers: float64 (n,).
    bins: the number of bins before those without a width are left out.
    """
    return tuple(np.unique(_quantiles(numbers, bins + 1)).tolist())


def piecewise_linear(numbers: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """The piecewise-linear encoding of numbers: float32 (n, max(bins, 1)), each element in [0, 1].

    numbers: float64 (n,), none NaN.
    edges: what `bin_edges` returned, one edge more than there are bins.

    The element of the bin from edge a to edge b is (x - a) / (b - a), clipped to [0, 1]. Gorishniy et al. (NeurIPS
    2022, section 3.2) clip the first bin's only from above and the last bin's only from below; here they are clipped on
    both sides, so that an outlier has a bounded effect. With a single edge, all elements are 0.
    """
    encoded = np.zeros((len(numbers), max(len(edges) - 1, 1)), np.float32)
    for i, (lower, upper) in enumerate(pairwise(edges)):
        with np.errstate(over="ignore"):  # what is infinite is clipped
            encoded[:, i] = np.clip((numbers - lower) / (upper - lower), 0, 1)
    return encoded


def _quantiles(numbers: np.ndarray, count: int) -> np.ndarray:
    """`count` quantiles at levels of equal distances: float64 (count,), in ascending order in spite of rounding."""
    return np.maximum.accumulate(np.quantile(numbers, np.linspace(0, 1, count)))
