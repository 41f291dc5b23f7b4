"""Batches of rows put together to one data set."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from spec.data import Dataset


class Whole(Protocol):
    """A data set that is filled a batch at a time."""

    def add(self, batch: Dataset) -> None:
        """Put the rows of another batch, which has the same arrays as those before it, behind theirs."""

    def dataset(self) -> Dataset:
        """The rows of all batches."""


class Joined:
    """A data set of a known number of rows, in memory.

    No batch is held, so that the rows are in memory once and not twice.
    """

    def __init__(self, rows: int) -> None:
        self._rows, self._filled = rows, 0
        self._arrays: dict[str, np.ndarray] = {}

    def add(self, batch: Dataset) -> None:
        """See `Whole`."""
        end = self._filled + batch.rows
        for name, array in batch.arrays.items():
            if name not in self._arrays:
                self._arrays[name] = np.empty((self._rows, *array.shape[1:]), array.dtype)
            self._arrays[name][self._filled : end] = array
        self._filled = end

    def dataset(self) -> Dataset:
        """See `Whole`."""
        return dataset_of(self._arrays)


def joined(batches: Iterable[Dataset], whole: Whole | None = None) -> Dataset:
    """The rows of batches of which it is not known how many rows they have together.

    whole: what they are put into; None: memory.
    """
    if whole is None:
        held = deque(batches)
        whole, batches = Joined(sum(batch.rows for batch in held)), _drained(held)
    for batch in batches:
        whole.add(batch)
    return whole.dataset()


def dataset_of(arrays: Mapping[str, np.ndarray]) -> Dataset:
    """The data set that has these `Dataset.arrays`."""
    fields: dict[str, Any] = {}
    for name, array in arrays.items():
        field, _, task = name.partition(".")
        if task:
            fields.setdefault(field, {})[task] = array
        else:
            fields[field] = array
    return Dataset(**fields)


def outcomes(rows: Dataset) -> Dataset:
    """The rows without their inputs: labels, weights and groups, which take little memory."""
    return dataclasses.replace(rows, numeric=np.empty((rows.rows, 0)), categorical=None)


def _drained(held: deque[Dataset]) -> Iterator[Dataset]:
    while held:
        yield held.popleft()
