"""What the network's input is put together from."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from shared_bottom.export.graph import Graph, Value


class Piece(NamedTuple):
    """Some columns of the network's input. They need not be adjacent, so that what is alike is computed together."""

    value: Value
    """(rows, columns), in the precision of the parameters."""
    places: Sequence[int]
    """Where each column belongs in the network's input."""


def joined(graph: Graph, pieces: Iterable[Piece]) -> Value:
    """The network's input: (rows, input_width)."""
    values, places = zip(*pieces, strict=True)
    value = graph("Concat", *values, axis=1) if len(values) > 1 else values[0]
    order = np.argsort(np.concatenate(places))
    return value if (order == np.arange(len(order))).all() else graph("Gather", value, order, axis=1)
