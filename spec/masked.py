"""NumPy's masked arrays, and arrays as other libraries hold them, as the plain arrays of a data set."""

from typing import Any

import numpy as np


def unmasked(name: str, array: Any) -> np.ndarray:
    """The array as a plain one. A masked number has no value, and only a label and an id may be missing."""
    masked = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    if masked is not None and masked.any():
        raise ValueError(f"{name}: expected no masked value, got one in {_first_place(masked)}")
    return np.asarray(array)


def ids_of(ids: Any) -> np.ndarray:
    """The array as a plain one, with -1 for what is masked. Raises ValueError as `groups_of`."""
    plain = np.asarray(ids)
    if not isinstance(ids, np.ma.MaskedArray) or not ids.mask.any() or plain.dtype.kind not in "iu":
        return plain
    return _negative_where_masked("categorical", plain, np.ma.getmaskarray(ids))


def groups_of(group: Any) -> np.ndarray:
    """The array as a plain one of numbers or texts, with -1 or an empty text for what is masked.

    Raises ValueError for a number of 2**63 or more beside a masked one.
    """
    plain = np.asarray(group)
    if plain.dtype.kind in "OT" and all(isinstance(value, str) for value in plain.flat):
        plain = plain.astype(np.str_)  # as data frames hold texts
    if not isinstance(group, np.ma.MaskedArray) or not group.mask.any() or plain.dtype.kind not in "iuSU":
        return plain
    if plain.dtype.kind in "iu":
        return _negative_where_masked("group", plain, np.ma.getmaskarray(group))
    return np.where(group.mask, plain.dtype.type(), plain)


def label_of(label: Any) -> np.ndarray:
    """The array as a plain one, or masked if some of it is: what stands for a missing label depends on the task."""
    return label if isinstance(label, np.ma.MaskedArray) and label.mask.any() else np.asarray(label)


def _negative_where_masked(name: str, numbers: np.ndarray, masked: np.ndarray) -> np.ndarray:
    """Unsigned numbers have no room for -1, and become int64."""
    if numbers.dtype.kind == "u":
        too_large = ~masked & (numbers > np.iinfo(np.int64).max)
        if too_large.any():
            got = f"{numbers[too_large][0]} in {_first_place(too_large)}"
            raise ValueError(f"{name}: expected integers below 2**63 beside a masked one, got {got}")
        numbers = numbers.astype(np.int64)
    return np.where(masked, -1, numbers)


def _first_place(where: np.ndarray) -> str:
    row, *column = np.argwhere(where)[0]
    return f"column {column[0]}, row {row}" if column else f"row {row}"
