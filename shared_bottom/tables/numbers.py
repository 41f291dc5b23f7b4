"""The numeric inputs, and what is learnt of their numbers: mean and deviation and, if asked for, quantiles."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shared_bottom.tables.blocks import Block
from shared_bottom.tables.columns import Scale
from shared_bottom.tables.quantiles import Sample, bin_edges, landmarks, spread
from shared_bottom.tables.times import numeric_part
from spec.columns import LabelColumn, NumericColumn
from spec.table import TableSpec
from spec.tasks import TaskSpec


def numeric_inputs(data: TableSpec, block: Block) -> Iterator[tuple[NumericColumn, np.ndarray]]:
    """The numeric inputs in the order of `TableSpec.numeric_inputs`, each with its numbers: float64 (N,).

    A missing number is NaN. The numbers come after the transform log1p, but before the transform quantile. A part of a
    time comes as a numeric column that has no options. Raises ValueError as `Block.numbers` and `Block.times` do.
    """
    for column in data.numeric:
        yield column, block.numbers(column.name, column.transform, column.missing)
    for time in data.time:
        if time.numeric_parts:
            times = block.times(time.name, time.missing)
            for name, part in time.numeric_parts.items():
                yield NumericColumn(name=name), numeric_part(times, part)


def label_numbers(block: Block, task: TaskSpec, label: LabelColumn) -> list[np.ndarray]:
    """The labels of a regression task after the transform: float64 (N,) for each of their columns, NaN where missing.

    Raises ValueError as `Block.numbers` does, and if one is below 0 with a loss whose labels are 0 or more.
    """
    numbers = [block.numbers(name, label.transform, label.missing) for name in label.columns]
    if task.objective.non_negative:
        for name, of_column in zip(label.columns, numbers, strict=True):
            block.reject(name, of_column < 0, f"a number of 0 or more with loss {task.objective.kind}")
    return numbers


class Moments:
    """The mean and the standard deviation of numbers that come in blocks.

    The mean and the sum of squared deviations are computed within each block and then merged with those of the blocks
    before it (Chan, Golub & LeVeque, 1983). Sums over all numbers would lose digits where the mean is large.
    """

    def __init__(self) -> None:
        self.rows = self.missing = 0
        self.smallest, self.largest = np.inf, -np.inf
        self._mean = self._squares = 0.0

    @property
    def count(self) -> int:
        """How many rows have a number."""
        return self.rows - self.missing

    @property
    def constant(self) -> bool:
        """Whether there are numbers, and all are equal."""
        return self.smallest == self.largest  # exactly, because the rounded mean of equal numbers can differ from them

    def add(self, numbers: np.ndarray) -> None:
        """Count the numbers of another block: float64 (n,), NaN where a number is missing."""
        present, before = numbers[~np.isnan(numbers)], self.count
        self.rows += len(numbers)
        self.missing += len(numbers) - len(present)
        if not len(present):
            return
        self.smallest = min(self.smallest, float(present.min()))
        self.largest = max(self.largest, float(present.max()))
        with np.errstate(over="ignore", invalid="ignore"):  # `scale` raises an error if the result is not finite
            mean = present.mean()
            delta, total = mean - self._mean, self.count
            self._squares += ((present - mean) ** 2).sum() + delta**2 * (before * len(present) / total)
            self._mean += delta * (len(present) / total)

    def scale(self, column: str) -> Scale:
        """The mean and the deviation of all numbers added so far.

        Raises ValueError if there were none, or if they are so large that their squares are infinite. `column` is the
        beginning of the error message.
        """
        if not self.count:
            raise ValueError(f"{column}: expected at least one number in the training rows, got none")
        if self.constant:
            return Scale(mean=self.largest, deviation=1.0)
        deviation = float(np.sqrt(self._squares / self.count))
        if not np.isfinite(deviation):
            largest = max(abs(self.smallest), abs(self.largest))
            raise ValueError(f"{column}: expected numbers whose squares fit float64, got one of size {largest:g}")
        return Scale(mean=float(self._mean), deviation=deviation or 1.0)


class Learnt(NamedTuple):
    """What was learnt of a numeric input; quantiles and edges are empty if its column does not ask for them."""

    scale: Scale
    quantiles: tuple[float, ...]
    """Those of the quantile transform: see `shared_bottom.tables.quantiles.landmarks`."""
    edges: tuple[float, ...]
    """Those of the bins, after the transform."""


class Numbers:
    """What is learnt of a numeric input, whose numbers come in blocks, as from `numeric_inputs`.

    column: says what becomes of the numbers.
    """

    def __init__(self, column: NumericColumn) -> None:
        self._column, self.moments = column, Moments()
        self._sample = Sample() if column.transform == "quantile" or column.bins is not None else None

    def add(self, numbers: np.ndarray) -> None:
        """Count the numbers of another block: float64 (n,), NaN where a number is missing."""
        self.moments.add(numbers)
        if self._sample is not None:
            self._sample.add(numbers)

    def learnt(self, column: str) -> Learnt:
        """What the numbers that were added tell.

        With the quantile transform, the scale is that of the sample, because only the sample is still there when the
        quantiles are known. Raises ValueError as `Moments.scale` does; `column` is the beginning of the error message.
        """
        scale = self.moments.scale(column)
        quantiles: tuple[float, ...] = ()
        edges: tuple[float, ...] = ()
        if self._sample is not None:
            numbers = self._sample.numbers
            if self._column.transform == "quantile":
                quantiles = landmarks(numbers)
                numbers, moments = spread(numbers, quantiles, self._column.distribution), Moments()
                moments.add(numbers)
                scale = moments.scale(column)
            if self._column.bins is not None:
                edges = bin_edges(numbers, self._column.bins)
        return Learnt(scale, quantiles, edges)
