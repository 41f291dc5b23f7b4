"""Whether the arrays of a data set fit a ModelSpec: each function raises ValueError, with the array, the place and the
value, if its array does not.
"""

from typing import Any

import numpy as np

from spec.model import CategoricalFeature, ModelSpec, TaskSpec
from spec.training import Precision


def unmasked(name: str, array: Any) -> np.ndarray:
    """The array as a plain one. A masked number has no value, and only a label and an id may be missing."""
    masked = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    if masked is not None and masked.any():
        row, *column = _first(masked)
        place = f"column {column[0]}, row {row}" if column else f"row {row}"
        raise ValueError(f"{name}: expected no masked value, got one in {place}")
    return np.asarray(array)


def check_numeric(numeric: np.ndarray | None, rows: int, width: int, precision: Precision) -> None:
    """Float or integer (rows, width), finite in `precision`; None where the width is 0."""
    if numeric is None:
        if width:
            raise ValueError(f"numeric: expected an array of shape ({rows}, {width}), got none")
        return
    _expect("numeric", numeric, [(rows, width)], "fiu", "floats or integers")
    bad = ~np.isfinite(_rounded(numeric, precision))
    if bad.any():
        row, column = _first(bad)
        value = numeric[row, column]
        expected = f"values that fit {precision}" if np.isfinite(value) else "finite values"
        raise ValueError(f"numeric: expected {expected}, got {value} in column {column}, row {row}")


def check_categorical(categorical: np.ndarray | None, rows: int, model: ModelSpec) -> None:
    """Integer (rows, columns) of ids below each feature's vocabulary; None where the model has no such feature."""
    width = sum(feature.length for feature in model.categorical)
    if categorical is None:
        if width:
            raise ValueError(f"categorical: expected an array of shape ({rows}, {width}), got none")
        return
    _expect("categorical", categorical, [(rows, width)], "iu", "integers")
    for feature, columns in zip(model.categorical, model.id_columns, strict=True):
        _check_ids(feature, categorical[:, columns], columns.start)


def check_label(name: str, label: np.ndarray, task: TaskSpec, shape: tuple[int, ...], precision: Precision) -> None:
    """Labels of the task's kind, in the shape of so many rows; what a mask hides is not looked at."""
    name, shapes = f"labels[{name!r}]", [shape]
    masked, label = np.ma.getmaskarray(label), np.ma.getdata(label)
    match task.traits.label:
        case "class":
            _expect(name, label, shapes, "iu", "integer classes")
            bad, expected = (label < -1) | (label >= task.outputs), f"classes in [0, {task.outputs}), or -1 for missing"
        case "truth":
            _expect(name, label, shapes, "fiub", "numbers")
            bad, expected = ~((label == 0) | (label == 1) | np.isnan(label)), "0, 1, or NaN for missing"
        case "number":
            _expect(name, label, [*shapes, shape[:1]] if task.outputs == 1 else shapes, "fiu", "numbers")
            bad = np.isinf(_rounded(label, precision))
            expected = f"finite values that fit {precision}, or NaN for missing"
    bad = bad & ~masked
    if bad.any():
        where = _first(bad)
        raise ValueError(f"{name}: expected {expected}, got {label[where]} in row {where[0]}")


def check_weight(name: str, weight: np.ndarray, rows: int, *, some: bool = True) -> None:
    """Numbers (rows,), finite and not negative. some: whether one has to be above 0."""
    _expect(name, weight, [(rows,)], "fiu", "numbers")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        (row,) = _first(bad)
        raise ValueError(f"{name}: expected finite values of 0 or more, got {weight[row]} in row {row}")
    if some and not weight.any():
        raise ValueError(f"{name}: expected at least one weight above 0, got all 0")


def _expect(name: str, array: np.ndarray, shapes: list[tuple[int, ...]], kinds: str, dtype: str) -> None:
    if array.shape not in shapes:
        raise ValueError(f"{name}: expected shape {' or '.join(map(str, shapes))}, got {array.shape}")
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name}: expected {dtype}, got dtype {array.dtype}")


def _rounded(array: np.ndarray, precision: Precision) -> np.ndarray:
    with np.errstate(over="ignore"):  # it becomes infinite, which the caller looks for
        return array.astype(precision)


def _first(bad: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(bad)[0])


def _check_ids(feature: CategoricalFeature, ids: np.ndarray, start: int) -> None:
    several = feature.length > 1
    bad = (ids < (-1 if several else 0)) | (ids >= feature.vocabulary)
    if bad.any():
        row, place = _first(bad)
        expected = f"ids in [0, {feature.vocabulary})" + (", or -1 for none," if several else "")
        raise ValueError(
            f"categorical: expected {expected} in column {start + place} ({feature.name}), got {ids[row, place]} in "
            f"row {row}"
        )
