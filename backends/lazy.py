"""Which rows of the embedding tables each batch names, for lazy updates: see `TrainSpec.embedding_updates`.

A step gathers these rows, moves them as a small dense problem, and writes them back. They are found in NumPy, beside
the gathering of the batch, and their number is filled up to one length, so that every step has one shape.
"""

import numpy as np

from backends.layout import Layout
from backends.stacks import EmbeddingTable

PARAMS = "params"
"""The parameters' name where they stand beside the optimizer's slots."""
TOUCHED = "touched."
"""What stands before a table's name in the name of the array of the rows that each step names."""


def touch(layout: Layout, categorical: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of the steps with the ids `categorical` int32 (steps, rows, columns), by name.

    categorical: the same with places among the rows that its step names in place of ids of lazily updated tables; the
    -1 of a place without an id stays.
    touched.<tensor>: for each such table, by its tensor's name, these rows in ascending order: int32 (steps, length).
    Behind them, rows past the table's end fill the length. No id names them, so that their gradient is 0 and no matter
    what is gathered for them; JAX gathers 0 and writes nothing, PyTorch has room for them behind the table.
    """
    if not layout.lazy:
        return {"categorical": categorical}
    arrays = {"categorical": categorical.copy()}
    for whole, table in zip(layout.whole_tables, layout.tables, strict=True):
        for name, *_ in table.tensors:
            if name in layout.lazy:
                columns = list(table.columns)
                rows, places = _distinct(whole, table.rows, categorical[..., columns])
                arrays[TOUCHED + name], arrays["categorical"][..., columns] = rows, places
    return arrays


def _distinct(whole: EmbeddingTable, length: int, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows (steps, length) that each step names, and the places (steps, rows, columns) of its ids among them."""
    there = ids >= 0
    rows = ids + np.array(whole.offsets, np.int32)
    touched = np.empty((len(ids), length), np.int32)
    places = np.full(ids.shape, -1, np.int32)
    for step in range(len(ids)):
        named, inverse = np.unique(rows[step][there[step]], return_inverse=True)
        touched[step, : len(named)] = named
        touched[step, len(named) :] = np.arange(whole.rows, whole.rows + length - len(named))
        places[step][there[step]] = inverse
    return touched, places
