"""The rows: arrays checked against a ModelSpec before any work is done, and the order in which training draws them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spec.model import ModelSpec, TaskSpec
from spec.training import Precision


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """N rows as arrays. What the model does not use may be left out; labels too, when predicting.

    numeric: float (N, model.numeric). categorical: int (N, features), ids in [0, vocabulary).
    labels, by task name: binary (N,) of 0, 1 or NaN; regression (N, outputs), or (N,) for one output, a row with a NaN
    counting as missing; multiclass int (N,) of a class or -1. NaN and -1 mark a missing label.
    sample_weight: float (N,), the row's factor in every task's mean loss; None weighs all rows alike.
    """

    numeric: np.ndarray | None = None
    categorical: np.ndarray | None = None
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    sample_weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("numeric", "categorical", "sample_weight"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else np.asarray(value))
        object.__setattr__(self, "labels", {task: np.asarray(label) for task, label in (self.labels or {}).items()})

    @property
    def rows(self) -> int:
        """N. Raises ValueError if there is neither a numeric nor a categorical array."""
        inputs = self.numeric if self.numeric is not None else self.categorical
        if inputs is None or inputs.ndim == 0:
            raise ValueError("data: expected a numeric or a categorical array of rows, got neither")
        return len(inputs)

    def take(self, rows: Any) -> "Dataset":
        """The rows that `rows` (a slice, indices or a mask) selects, in its order."""

        def some(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[rows]

        return Dataset(
            numeric=some(self.numeric),
            categorical=some(self.categorical),
            labels={task: label[rows] for task, label in self.labels.items()},
            sample_weight=some(self.sample_weight),
        )

    def check(self, model: ModelSpec, *, labels: bool = True, precision: Precision = "float64") -> None:
        """Raises ValueError, naming the array, what was expected and what came, if the rows do not fit `model`.

        labels: whether every task of the model must have its labels; those that are there are checked either way.
        precision: what the rows are computed in; a number too large for it counts as infinite.
        """
        rows = self.rows
        if rows == 0:
            raise ValueError("data: expected at least one row, got 0")
        _check_numeric(self.numeric, rows, model.numeric, precision)
        _check_categorical(self.categorical, rows, model)
        tasks = {task.name: task for task in model.tasks}
        for name in self.labels:
            if name not in tasks:
                raise ValueError(f"labels: expected tasks among {', '.join(tasks)}, got {name!r}")
        for name, task in tasks.items():
            if name in self.labels:
                _check_label(self.labels[name], rows, task, precision)
            elif labels:
                raise ValueError(f"labels: expected an array for task {name!r}, got none")
        if self.sample_weight is not None:
            _check_weight(self.sample_weight, rows)


def row_order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order of `rows` rows in an epoch (from 0), a permutation drawn from (seed, epoch): int64 (rows,)."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def random_data(model: ModelSpec, rows: int, *, seed: int = 0) -> Dataset:
    """Rows that fit `model`: standard-normal numbers, ids and labels drawn evenly."""
    draw = np.random.default_rng(seed)
    numeric = draw.standard_normal((rows, model.numeric)) if model.numeric else None
    vocabularies = [feature.vocabulary for feature in model.categorical]
    categorical = draw.integers(0, vocabularies, (rows, len(vocabularies))) if vocabularies else None
    labels: dict[str, np.ndarray] = {}
    for task in model.tasks:
        if task.traits.label == "number":
            labels[task.name] = draw.standard_normal((rows, task.outputs))
        else:
            labels[task.name] = draw.integers(0, max(task.outputs, 2), rows)
    return Dataset(numeric=numeric, categorical=categorical, labels=labels)


def label_present(label: np.ndarray, task: TaskSpec) -> np.ndarray:
    """Which rows have the task's label: bool (N,)."""
    missing = np.isnan(label) if np.isnan(task.traits.missing_label) else label == task.traits.missing_label
    return ~(missing.any(axis=1) if missing.ndim == 2 else missing)


def label_shape(task: TaskSpec, rows: int) -> tuple[int, ...]:
    """The shape of the labels of `rows` rows: (rows, outputs), or (rows,) where the outputs have one label."""
    return (rows, task.outputs) if task.traits.label_per_output else (rows,)


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


def _check_numeric(numeric: np.ndarray | None, rows: int, width: int, precision: Precision) -> None:
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


def _check_categorical(categorical: np.ndarray | None, rows: int, model: ModelSpec) -> None:
    features = model.categorical
    if categorical is None:
        if features:
            raise ValueError(f"categorical: expected an array of shape ({rows}, {len(features)}), got none")
        return
    _expect("categorical", categorical, [(rows, len(features))], "iu", "integers")
    for column, feature in enumerate(features):
        ids = categorical[:, column]
        bad = (ids < 0) | (ids >= feature.vocabulary)
        if bad.any():
            (row,) = _first(bad)
            raise ValueError(
                f"categorical: expected ids in [0, {feature.vocabulary}) in column {column} ({feature.name}), "
                f"got {ids[row]} in row {row}"
            )


def _check_label(label: np.ndarray, rows: int, task: TaskSpec, precision: Precision) -> None:
    name, shapes = f"labels[{task.name!r}]", [label_shape(task, rows)]
    match task.traits.label:
        case "class":
            _expect(name, label, shapes, "iu", "integer classes")
            bad, expected = (label < -1) | (label >= task.outputs), f"classes in [0, {task.outputs}), or -1 for missing"
        case "truth":
            _expect(name, label, shapes, "fiub", "numbers")
            bad, expected = ~((label == 0) | (label == 1) | np.isnan(label)), "0, 1, or NaN for missing"
        case "number":
            _expect(name, label, [*shapes, (rows,)] if task.outputs == 1 else shapes, "fiu", "numbers")
            bad = np.isinf(_rounded(label, precision))
            expected = f"finite values that fit {precision}, or NaN for missing"
    if bad.any():
        where = _first(bad)
        raise ValueError(f"{name}: expected {expected}, got {label[where]} in row {where[0]}")


def _check_weight(weight: np.ndarray, rows: int) -> None:
    _expect("sample_weight", weight, [(rows,)], "fiu", "numbers")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        (row,) = _first(bad)
        raise ValueError(f"sample_weight: expected finite values of 0 or more, got {weight[row]} in row {row}")
    if not weight.any():
        raise ValueError("sample_weight: expected at least one weight above 0, got all 0")
