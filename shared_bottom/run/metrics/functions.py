"""A metric of rows that come a piece at a time.

Most follow from a mean over the rows: of each piece only the mean and the weight are kept. Those that compare rows with
each other keep the predictions of all rows, beside labels, weights and groups.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from sklearn.metrics import mean_squared_error

from shared_bottom.run.metrics.averages import WeightedMean, WeightedVariance
from shared_bottom.run.metrics.comparisons import OF_ALL_ROWS
from shared_bottom.run.metrics.row_means import AVERAGES, Average
from shared_bottom.run.metrics.rows import NOT_DEFINED, Result, Rows
from spec.metrics import split_metric


class Metric(Protocol):
    """A metric of rows that come a piece at a time."""

    def add(self, rows: Rows) -> None:
        """Take a piece of one row or more into account, whose predictions are finite, unless it is the loss."""

    def result(self) -> Result:
        """Of all pieces, of which there is at least one."""


class Averaged:
    """A `Metric` of the table AVERAGES."""

    def __init__(self, average: Average, number: float) -> None:
        self._average, self._number, self._mean = average, number, WeightedMean()

    def add(self, rows: Rows) -> None:
        """See `Metric`."""
        self._mean.add(self._average.mean(rows, self._number), rows.scaled[1])

    def result(self) -> Result:
        """See `Metric`."""
        value = self._average.value(self._mean.value)
        return Result(value, self._average.undefined if np.isnan(value) else "")


class RSquared:
    """The `Metric` r2: 1 - mean squared error / variance of the labels, mean over the outputs."""

    def __init__(self) -> None:
        self._error, self._variance = WeightedMean(), WeightedVariance()

    def add(self, rows: Rows) -> None:
        """See `Metric`."""
        label, (weight, total) = rows.label.astype(np.float64), rows.scaled
        error = mean_squared_error(label, rows.prediction, sample_weight=weight, multioutput="raw_values")
        self._error.add(error, total)
        self._variance.add(label, weight, total)

    def result(self) -> Result:
        """See `Metric`."""
        if not self._variance.value.all():
            return Result(NOT_DEFINED, "all labels of an output are equal")
        return Result(float((1.0 - self._error.value / self._variance.value).mean()))


class OfAllRows:
    """A `Metric` that compares rows with each other."""

    def __init__(self, function: Callable[[Rows, float], Result], number: float) -> None:
        self._function, self._number = function, number
        self._kept: list[Rows] = []

    def add(self, rows: Rows) -> None:
        """See `Metric`."""
        self._kept.append(replace(rows, parts=()))  # and without what the piece has computed of itself

    def result(self) -> Result:
        """See `Metric`."""

        def joined(field: str) -> Any:
            arrays = [getattr(rows, field) for rows in self._kept]
            return None if arrays[0] is None else np.concatenate(arrays)

        fields = {field: joined(field) for field in ("label", "predicted", "weight", "group")}
        return self._function(Rows(task=self._kept[0].task, **fields), self._number)


def metric_of(name: str) -> Metric:
    """A metric by its name, such as auc or ndcg@10, of no rows as yet."""
    kind, number = split_metric(name)
    if kind == "r2":
        return RSquared()
    if kind in AVERAGES:
        return Averaged(AVERAGES[kind], number)
    return OfAllRows(OF_ALL_ROWS[kind], number)
