"""Whether the arrays of a data set fit a ModelSpec: each function raises ValueError, with the array, the place and the
value, if its array does not.

An array is looked at a piece at a time, so that its check takes little memory besides.
"""

import functools
from collections.abc import Callable

import numpy as np

from spec.mapped import pieces
from spec.model import ModelSpec
from spec.tasks import TaskSpec
from spec.training import Precision


def check_numeric(numeric: np.ndarray | None, rows: int, width: int, precision: Precision) -> None:
    """Float or integer (rows, width), finite in `precision`; None where the width is 0."""
    if numeric is None:
        if width:
            raise ValueError(f"numeric: expected an array of shape ({rows}, {width}), got none")
        return
    _expect("numeric", numeric, [(rows, width)], "fiu", "floats or integers")
    if place := _first_where(numeric, lambda piece: ~np.isfinite(_rounded(piece, precision))):
        row, column = place
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
    lowest, vocabularies = _id_bounds(model)
    if not _first_where(categorical, functools.partial(_outside, lowest, vocabularies)):
        return
    for feature, columns in zip(model.categorical, model.id_columns, strict=True):  # the first that has one is named
        of_feature, outside = categorical[:, columns], functools.partial(_outside, lowest[columns], feature.vocabulary)
        if place := _first_where(of_feature, outside):
            expected = f"ids in [0, {feature.vocabulary})" + (", or -1 for none," if feature.length > 1 else "")
            raise ValueError(
                f"categorical: expected {expected} in column {columns.start + place[1]} ({feature.name}), got "
                f"{of_feature[place]} in row {place[0]}"
            )


def check_label(name: str, label: np.ndarray, task: TaskSpec, shape: tuple[int, ...], precision: Precision) -> None:
    """Labels of the task's kind, in the shape of so many rows; what a mask hides is not looked at."""
    name, shapes = f"labels[{name!r}]", [shape]
    wrong: Callable[[np.ndarray], np.ndarray]
    match task.traits.label:
        case "class":
            _expect(name, label, shapes, "iu", "integer classes")
            wrong, expected = (
                lambda c: (c < -1) | (c >= task.outputs),
                f"classes in [0, {task.outputs}), or -1 for missing",
            )
        case "truth":
            _expect(name, label, shapes, "fiub", "numbers")
            wrong, expected = lambda t: ~((t == 0) | (t == 1) | np.isnan(t)), "0, 1, or NaN for missing"
        case "number":
            _expect(name, label, [*shapes, shape[:1]] if task.outputs == 1 else shapes, "fiu", "numbers")
            least = 0.0 if task.objective.non_negative else -np.inf
            wrong, expected = (
                lambda x: np.isinf(_rounded(x, precision)) | (x < least),
                f"finite values that fit {precision}, or NaN for missing",
            )
            if task.objective.non_negative:
                expected = f"{expected}, and 0 or more with loss {task.objective.kind}"
    if place := _first_where(label, lambda piece: wrong(np.ma.getdata(piece)) & ~np.ma.getmaskarray(piece)):
        raise ValueError(f"{name}: expected {expected}, got {np.ma.getdata(label)[place]} in row {place[0]}")


def check_weight(name: str, weight: np.ndarray, rows: int, *, some: bool = True) -> None:
    """Numbers (rows,), finite and not negative. some: whether one has to be above 0."""
    _expect(name, weight, [(rows,)], "fiu", "numbers")
    if place := _first_where(weight, lambda piece: ~(np.isfinite(piece) & (piece >= 0))):
        raise ValueError(f"{name}: expected finite values of 0 or more, got {weight[place]} in row {place[0]}")
    if some and not _first_where(weight, lambda piece: piece > 0):
        raise ValueError(f"{name}: expected at least one weight above 0, got all 0")


def check_group(group: np.ndarray, rows: int) -> None:
    """Integers or texts (rows,)."""
    _expect("group", group, [(rows,)], "iuSU", "integers or texts")


def _expect(name: str, array: np.ndarray, shapes: list[tuple[int, ...]], kinds: str, dtype: str) -> None:
    if array.shape not in shapes:
        raise ValueError(f"{name}: expected shape {' or '.join(map(str, shapes))}, got {array.shape}")
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name}: expected {dtype}, got dtype {array.dtype}")


def _rounded(array: np.ndarray, precision: Precision) -> np.ndarray:
    if array.dtype == precision:
        return array
    with np.errstate(over="ignore"):  # it becomes infinite, which the caller looks for
        return array.astype(precision)


@functools.lru_cache(maxsize=64)
def _id_bounds(model: ModelSpec) -> tuple[np.ndarray, np.ndarray]:
    """The lowest id, 0 or -1, and the vocabulary of each column of ids: int64 (columns,)."""
    lengths = [feature.length for feature in model.categorical]
    lowest = [-1 if length > 1 else 0 for length in lengths]
    return np.repeat(lowest, lengths), np.repeat([feature.vocabulary for feature in model.categorical], lengths)


def _outside(lowest: np.ndarray, vocabulary: np.ndarray | int, ids: np.ndarray) -> np.ndarray:
    """Which ids (rows, columns) are below the lowest of their column (columns,), or not in its vocabulary."""
    return (ids < lowest) | (ids >= vocabulary)


def _first_where(array: np.ndarray, condition: Callable[[np.ndarray], np.ndarray]) -> tuple[int, ...] | None:
    """The first place, by rows, where a condition holds on the array (rows, …)."""
    for start, piece in pieces(array):
        holds = condition(piece)
        if holds.any():
            row, *rest = _first(holds)
            return start + row, *rest
    return None


def _first(bad: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(bad)[0])
