"""Arrays that are mapped from a file, as np.memmap and np.load(…, mmap_mode="r") map them.

What a process has read of a mapped file counts as its resident memory until the system needs the room. Here arrays are
read a piece at a time, and a piece's pages are given back once it is done with, so that rows of any size go through
bounded memory.
"""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

PIECE_BYTES = 16 * 2**20
"""Bytes of an array that are read before their pages are given back, and that a float64 for each element takes."""


def mapping(array: Any) -> mmap.mmap | None:
    """The mapping of a file that an array is a view of; None where it lies in memory.

    A copy-on-write mapping counts as memory: what was changed in it is nowhere else.
    """
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
            return None if array.mode == "c" else array.base
        array = array.base
    return None


def release(array: np.ndarray) -> None:
    """Give the pages back that reading the array, if it is mapped, has made resident. They can be read again.

    Where the system has no call for that, the pages stay until it needs the room.
    """
    file = mapping(array)
    if file is None or not array.size or not hasattr(file, "madvise"):
        return
    origin, _ = byte_bounds(np.frombuffer(file, np.uint8))
    start, stop = (address - origin for address in byte_bounds(array))
    start -= start % mmap.PAGESIZE
    file.madvise(mmap.MADV_DONTNEED, start, stop - start)


def pieces(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The array (rows, …) in pieces of consecutive rows, each a view, with the number of its first row.

    A piece is to be done with when the next is asked for.
    """
    row_bytes = max(1, abs(array.strides[0]), 8 * array[:1].size)
    size = max(1, PIECE_BYTES // row_bytes)
    for start in range(0, len(array), size):
        piece = array[start : start + size]
        try:
            yield start, piece
        finally:
            release(piece)
