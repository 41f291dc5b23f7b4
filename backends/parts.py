"""The rows of each batch as equal parts, one for each device, where several devices compute a step together.

A device has the losses and the gradients of its rows; a step's are the sums over all devices. Since the rows' shares
are made for the whole batch (see `backends.batches`), that is exact whatever rows a device has: nothing is averaged.
"""

from typing import NamedTuple

import numpy as np

from backends.batches import Batches
from backends.layout import Layout
from spec.training import Part


class Joined(NamedTuple):
    """A process among those that train together."""

    rank: int = 0
    """Its number."""
    size: int = 1
    """How many they are."""
    host: str = ""
    """The name or address by which they reach process 0."""


def part_of(layout: Layout, batches: Batches, part: Part) -> Batches:
    """A part of the batches, and what a step must know of the whole batch: `present`.

    batches: as `backends.batches.BatchSource` gives them. Where their rows are no multiple of the number of parts, the
    last parts are filled with rows of the batch, of share 0.
    present: whether each task has a label in the batch: (steps, tasks), in the layout's order.
    """
    if part.of == 1:
        return batches
    present = [batches[f"shares.{i}"].sum(-1) > 0 for i in range(len(layout.heads))]
    together = np.concatenate([each.reshape(len(each), -1) for each in present], axis=1)
    rows = {name: _rows(name, array, rows_axis(layout, name), part) for name, array in batches.items()}
    return rows | {"present": together.astype(batches["shares.0"].dtype)}


def _rows(name: str, array: np.ndarray, axis: int | None, part: Part) -> np.ndarray:
    if axis is None:
        return array
    rows = array.shape[axis + 1]
    each = -(-rows // part.of)
    places = np.arange(part.first * each, (part.first + part.devices) * each)
    taken = array.take(places, axis=axis + 1, mode="clip")
    if name.startswith("shares."):  # the rows are their last axis
        taken[..., places >= rows] = 0.0
    return taken


def rows_axis(layout: Layout, name: str) -> int | None:
    """Which axis of an array of a step is that of the batch's rows; None if it has none."""
    kind, _, head = name.partition(".")
    if kind in ("labels", "shares"):
        return int(layout.heads[int(head)].tied)
    return 0 if name in ("numeric", "categorical") else None
