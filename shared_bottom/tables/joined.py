"""Batches of rows put together to one data set."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from spec.data import Dataset


class Joined:
    """A data set of a known number of rows, filled a batch at a time.

    No batch is held, so that the rows are in memory once and not twice.
    """

    def __init__(self, rows: int) -> None:
        self._rows, self._filled = rows, 0
        self._arrays: dict[tuple[str, str | None], np.ndarray] = {}

    def add(self, batch: Dataset) -> None:
        """Put the rows of another batch, which has the same arrays as those before it, behind theirs."""
        end = self._filled + batch.rows
        for key, array in _arrays(batch):
            if key not in self._arrays:
                self._arrays[key] = np.empty((self._rows, *array.shape[1:]), array.dtype)
            self._arrays[key][self._filled : end] = array
        self._filled = end

    def dataset(self) -> Dataset:
        """The rows of all batches."""
        fields: dict[str, Any] = {}
        for (name, task), array in self._arrays.items():
            if task is None:
                fields[name] = array
            else:
                fields.setdefault(name, {})[task] = array
        return Dataset(**fields)


def joined(batches: Iterable[Dataset]) -> Dataset:
    """The rows of batches of which it is not known how many rows they have together."""
    held = deque(batches)
    whole = Joined(sum(batch.rows for batch in held))
    while held:
        whole.add(held.popleft())
    return whole.dataset()


def outcomes(rows: Dataset) -> Dataset:
    """The rows without their inputs: labels and weights, which take little memory."""
    return dataclasses.replace(rows, numeric=np.empty((rows.rows, 0)), categorical=None)


def _arrays(data: Dataset) -> Iterator[tuple[tuple[str, str | None], np.ndarray]]:
    """The arrays of a data set by its field and, where the field has one for each task, by the task."""
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        if isinstance(value, Mapping):
            yield from (((field.name, task), array) for task, array in value.items())
        elif value is not None:
            yield (field.name, None), value
