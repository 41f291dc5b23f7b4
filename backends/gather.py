"""Rows of a data set by number, in any order, from arrays in memory and from mapped files alike.

A shuffled batch has rows from all over a mapped file. Here the file is walked once from its beginning to its end, a
piece at a time, however the rows are ordered: the disk reads ahead, and what stays resident is one piece.
"""

import numpy as np

from spec.data import Dataset
from spec.mapped import mapping, pieces


def gather(data: Dataset, rows: np.ndarray) -> Dataset:
    """The rows `rows` (n,) of the data set in this order, each as often as it occurs, as arrays in memory."""
    places = np.argsort(rows)
    ascending = rows[places]
    ranks = np.empty_like(places)
    ranks[places] = np.arange(len(rows))

    def gathered(array: np.ndarray) -> np.ndarray:
        if mapping(array) is None or isinstance(array, np.ma.MaskedArray):
            return array[rows]
        result = np.empty((len(rows), *array.shape[1:]), array.dtype)
        for start, piece in pieces(array):
            first, last = np.searchsorted(ascending, [start, start + len(piece)])
            piece.take(ascending[first:last] - start, axis=0, out=result[first:last], mode="clip")
        return result.take(ranks, axis=0)

    return data.map(gathered)
