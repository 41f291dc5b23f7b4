"""The rows: arrays checked against a ModelSpec before any work is done, and the order in which training draws them."""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spec.checks import check_categorical, check_group, check_label, check_numeric, check_weight
from spec.mapped import mapping, pieces, release
from spec.masked import groups_of, ids_of, label_of, unmasked
from spec.model import ModelSpec
from spec.tasks import TaskSpec
from spec.training import Precision

PIECE_ROWS = 2**16
"""Rows whose labels and weights are looked at together, so that it takes little memory whatever the rows' number."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """N rows as arrays. What the model does not use may be left out; labels too, when predicting.

    numeric: float (N, model.numeric). categorical: int (N, columns), as many columns for a feature as its length, ids
    in [0, vocabulary); where the length is above 1, -1 stands where a row has no id.
    labels, by task name: binary (N,) of 0, 1 or NaN; regression (N, outputs), or (N,) for one output, a row with a NaN
    counting as missing, and 0 or more with a loss that takes nothing else; multiclass int (N,) of a class or -1. NaN
    and -1 mark a missing label.
    sample_weight: float (N,), the row's factor in every task's mean loss; None weighs all rows alike.
    task_weight, by task name: float (N,), the row's factor in this task's mean loss besides.
    group: integers or texts (N,), equal in the rows of one group, such as those of a user. Metrics such as group_auc
    compare rows within a group alone. They leave out rows of no group, which have a negative number or an empty text.
    sha256, by the names of `arrays`: the SHA-256 of the bytes of those that are hashed already. See `hashed`.

    Arrays that are mapped from files, as np.memmap and np.load(…, mmap_mode="r") map them, need not fit into memory:
    they are read a piece at a time, and draw the same curve.

    Of a NumPy masked array, a masked label is a missing one, a masked id is -1, and a masked group is none. Raises
    ValueError, naming the array and the place, for a masked number or weight.
    """

    numeric: np.ndarray | None = None
    categorical: np.ndarray | None = None
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    sample_weight: np.ndarray | None = None
    task_weight: Mapping[str, np.ndarray] = field(default_factory=dict)
    group: np.ndarray | None = None
    sha256: Mapping[str, str] = field(default_factory=dict, init=False)  # so that a replaced array does not keep it

    def __post_init__(self) -> None:
        for name in ("numeric", "sample_weight"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else unmasked(name, value))
        if self.categorical is not None:
            object.__setattr__(self, "categorical", ids_of(self.categorical))
        if self.group is not None:
            object.__setattr__(self, "group", groups_of(self.group))
        object.__setattr__(self, "labels", {task: label_of(label) for task, label in (self.labels or {}).items()})
        weights = {task: unmasked(f"task_weight[{task!r}]", w) for task, w in (self.task_weight or {}).items()}
        object.__setattr__(self, "task_weight", weights)

    @property
    def rows(self) -> int:
        """N. Raises ValueError if there is neither a numeric nor a categorical array."""
        inputs = self.numeric if self.numeric is not None else self.categorical
        if inputs is None or inputs.ndim == 0:
            raise ValueError("data: expected a numeric or a categorical array of rows, got neither")
        return len(inputs)

    @property
    def inputs(self) -> "Dataset":
        """The same rows without labels, weights and groups."""
        return Dataset(numeric=self.numeric, categorical=self.categorical)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Those that there are: numeric, categorical, sample_weight, group, labels.<task> and task_weight.<task>."""
        arrays = {name: getattr(self, name) for name in ("numeric", "categorical", "sample_weight", "group")}
        arrays |= {f"labels.{task}": label for task, label in self.labels.items()}
        arrays |= {f"task_weight.{task}": weight for task, weight in self.task_weight.items()}
        return {name: array for name, array in arrays.items() if array is not None}

    def hashed(self, sha256: Mapping[str, str]) -> "Dataset":
        """The same rows, of whose arrays the SHA-256 of the bytes in C order is known: no run has to compute it again.

        sha256: by the names of `arrays`. Where a label is masked, its array may not be among them.
        """
        rows = copy(self)
        object.__setattr__(rows, "sha256", dict(sha256))
        return rows

    def weight(self, task: str) -> np.ndarray | None:
        """Each row's factor in the task's mean loss, sample_weight · task_weight: (N,); None if all count alike."""
        if self.sample_weight is None or task not in self.task_weight:
            return self.task_weight.get(task, self.sample_weight)
        with np.errstate(over="ignore"):  # `check` looks for it
            return self.sample_weight.astype(np.float64) * self.task_weight[task]

    def take(self, rows: Any) -> "Dataset":
        """The rows that `rows` (a slice, indices or a mask) selects, in its order."""
        return self.map(lambda array: array[rows])

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Dataset":
        """A data set with `function(array)` in the place of each array."""

        def some(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else function(array)

        return Dataset(
            numeric=some(self.numeric),
            categorical=some(self.categorical),
            labels={task: function(label) for task, label in self.labels.items()},
            sample_weight=some(self.sample_weight),
            task_weight={task: function(weight) for task, weight in self.task_weight.items()},
            group=some(self.group),
        )

    @property
    def mapped(self) -> bool:
        """Whether an array is mapped from a file: see `spec.mapped`."""
        return any(mapping(array) for array in self.arrays.values())

    def pieces(self, rows: int) -> Iterator["Dataset"]:
        """The rows in order, at most `rows` at a time. A piece is to be done with when the next is asked for."""
        for start in range(0, self.rows, rows):
            piece = self.take(slice(start, start + rows))
            try:
                yield piece
            finally:
                for array in piece.arrays.values():
                    release(array)

    def check(self, model: ModelSpec, *, labels: bool = True, precision: Precision = "float64") -> None:
        """Raises ValueError, naming the array, what was expected and what came, if the rows do not fit `model`.

        labels: whether every task of the model must have its labels; those that are there are checked either way.
        precision: what the rows are computed in; a number too large for it counts as infinite.
        """
        rows = self.rows
        if rows == 0:
            raise ValueError("data: expected at least one row, got 0")
        check_numeric(self.numeric, rows, model.numeric, precision)
        check_categorical(self.categorical, rows, model)
        tasks = {task.name: task for task in model.tasks}
        for field_name, arrays in (("labels", self.labels), ("task_weight", self.task_weight)):
            for name in arrays:
                if name not in tasks:
                    raise ValueError(f"{field_name}: expected tasks among {', '.join(tasks)}, got {name!r}")
        for name, task in tasks.items():
            if name in self.labels:
                check_label(name, self.labels[name], task, label_shape(task, rows), precision)
            elif labels:
                raise ValueError(f"labels: expected an array for task {name!r}, got none")
        if self.group is not None:
            check_group(self.group, rows)
        if self.sample_weight is not None:
            check_weight("sample_weight", self.sample_weight, rows)
        for name, weight in self.task_weight.items():
            labels_of_task = pieces(self.labels[name]) if name in self.labels else ()
            labelled = any(label_present(label, tasks[name]).any() for _, label in labels_of_task)
            check_weight(f"task_weight[{name!r}]", weight, rows, some=labelled)
            products = (piece.weight(name) for piece in self.pieces(PIECE_ROWS))
            if not all(product is None or np.isfinite(product).all() for product in products):
                raise ValueError(f"task_weight[{name!r}]: expected finite products with sample_weight, got infinite")


def row_order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The order of `rows` rows in an epoch (from 0), a permutation drawn from (seed, epoch): int64 (rows,)."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def random_data(model: ModelSpec, rows: int, *, seed: int = 0) -> Dataset:
    """Rows that fit `model`: standard-normal numbers, 0 for those below where labels have to be 0 or more; ids, numbers
    of ids and other labels drawn evenly.
    """
    draw = np.random.default_rng(seed)
    numeric = draw.standard_normal((rows, model.numeric)) if model.numeric else None
    vocabularies = [feature.vocabulary for feature in model.categorical for _ in range(feature.length)]
    categorical = draw.integers(0, vocabularies, (rows, len(vocabularies))) if vocabularies else None
    for feature, columns in zip(model.categorical, model.id_columns, strict=True):
        if feature.length > 1 and categorical is not None:
            there = draw.integers(0, feature.length + 1, (rows, 1))
            categorical[:, columns][np.arange(feature.length) >= there] = -1
    labels: dict[str, np.ndarray] = {}
    for task in model.tasks:
        if task.traits.label == "number":
            numbers = draw.standard_normal((rows, task.outputs))
            labels[task.name] = np.maximum(numbers, 0.0) if task.objective.non_negative else numbers
        else:
            labels[task.name] = draw.integers(0, max(task.outputs, 2), rows)
    return Dataset(numeric=numeric, categorical=categorical, labels=labels)


def label_present(label: np.ndarray, task: TaskSpec) -> np.ndarray:
    """Which rows have the task's label: bool (N,)."""
    values, marker = np.ma.getdata(label), task.traits.missing_label
    missing = np.ma.getmaskarray(label) | (np.isnan(values) if np.isnan(marker) else values == marker)
    return ~(missing.any(axis=1) if missing.ndim == 2 else missing)


def in_group(group: np.ndarray) -> np.ndarray:
    """Which rows have a group: bool (N,). group: as in `Dataset`."""
    return group != group.dtype.type() if group.dtype.kind in "SU" else group >= 0


def label_shape(task: TaskSpec, rows: int) -> tuple[int, ...]:
    """The shape of the labels of `rows` rows: (rows, outputs), or (rows,) where the outputs have one label."""
    return (rows, task.outputs) if task.traits.label_per_output else (rows,)
