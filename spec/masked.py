"""NumPy's masked arrays, and arrays as other libraries hold them, as the plain arrays of a data set."""

from typing import Any

import numpy as np


def unmasked(name: str, array: Any) -> np.ndarray:
    """The array as a plain one. A masked number has no value, and only a label and an id may be missing."""
    masked = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    if masked is not None and masked.any():
        row, *column = np.argwhere(masked)[0]
        place = f"column {column[0]}, row {row}" if column else f"row {row}"
        raise ValueError(f"{name}: expected no masked value, got one in {place}")
    return np.asarray(array)


def ids_of(ids: Any) -> np.ndarray:
    """The array as a plain one, with -1 for what is masked; an unsigned one has no room for it, and becomes int64."""
    plain = np.asarray(ids)
    masked = np.ma.getmaskarray(ids) if isinstance(ids, np.ma.MaskedArray) else None
    if masked is None or not masked.any() or plain.dtype.kind not in "iu":
        return plain
    return np.where(masked, -1, plain.astype(np.int64))


def groups_of(group: Any) -> np.ndarray:
    """The array as a plain one of numbers or texts, with -1 or an empty text for what is masked."""
    plain = np.asarray(group)
    if plain.dtype.kind in "OT" and all(isinstance(value, str) for value in plain.flat):
        plain = plain.astype(np.str_)  # as data frames hold texts
    if not isinstance(group, np.ma.MaskedArray) or not group.mask.any() or plain.dtype.kind not in "iuSU":
        return plain
    if plain.dtype.kind == "u":
        plain = plain.astype(np.int64)
    return np.where(group.mask, -1 if plain.dtype.kind == "i" else plain.dtype.type(), plain)


def label_of(label: Any) -> np.ndarray:
    """The array as a plain one, or masked if some of it is: what stands for a missing label depends on the task."""
    return label if isinstance(label, np.ma.MaskedArray) and label.mask.any() else np.asarray(label)
