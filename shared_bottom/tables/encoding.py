"""Rows of a table as the network takes them, by what was fitted."""

from collections.abc import Callable

import numpy as np

from shared_bottom.tables.blocks import Block, Texts
from shared_bottom.tables.columns import FittedColumns, bucket, canonical
from spec.data import Dataset
from spec.model import TaskSpec
from spec.table import CategoricalColumn, LabelColumn, TableSpec

TRUTH = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0}
"""The values of a binary label, where `positive` names none."""


def column_names(data: TableSpec, *, labels: bool) -> tuple[str, ...]:
    """The columns that are read: the inputs', and those of labels and weights with `labels`."""
    names = list(data.inputs)
    if labels:
        names += [name for label in data.labels.values() for name in label.columns]
        names += [] if data.weight is None else [data.weight]
    return tuple(dict.fromkeys(names))


class Encoder:
    """Encodes blocks. labels: whether they hold labels and weights too."""

    def __init__(self, columns: FittedColumns, *, labels: bool) -> None:
        self._columns, self._labels = columns, labels
        self._ids = {column.name: self._lookup(column) for column in columns.data.categorical}
        self._classes = {
            task: {value: number for number, value in enumerate(values)} for task, values in columns.classes.items()
        }

    def __call__(self, block: Block) -> Dataset:
        """Raises ValueError for a value that its column cannot hold."""
        data = self._columns.data
        ids = [looked_up(block.texts(name), lookup, 0, np.int32) for name, lookup in self._ids.items()]
        labels, weight = {}, None
        if self._labels:
            labels = {task.name: self._label(block, task, data.labels[task.name]) for task in self._columns.tasks}
            weight = None if data.weight is None else _weight(block, data.weight)
        return Dataset(
            numeric=self._numeric(block) if data.numeric else None,
            categorical=np.stack(ids, axis=1) if ids else None,
            labels=labels,
            sample_weight=weight,
        )

    def _lookup(self, column: CategoricalColumn) -> Callable[[str], int]:
        if column.buckets is not None:
            buckets = column.buckets
            return lambda value: bucket(value, buckets)
        ids = {value: i for i, value in enumerate(self._columns.vocabularies[column.name], start=1)}
        return lambda value: ids.get(value, 0)

    def _numeric(self, block: Block) -> np.ndarray:
        """float32 (N, columns + indicators)."""
        columns = self._columns
        encoded = np.empty((block.rows, len(columns.data.numeric) + len(columns.indicators)), np.float32)
        indicator = len(columns.data.numeric)
        for i, column in enumerate(columns.data.numeric):
            numbers, scale = block.numbers(column.name, column.transform), columns.numeric[column.name]
            missing = np.isnan(numbers)
            numbers = np.where(missing, scale.mean, numbers)
            if column.standardise:
                numbers = (numbers - scale.mean) / scale.deviation
            block.reject(column.name, np.abs(numbers) > np.finfo(np.float32).max, "a number that fits float32")
            encoded[:, i] = numbers
            if column.name in columns.indicators:
                encoded[:, indicator] = missing
                indicator += 1
        return encoded

    def _label(self, block: Block, task: TaskSpec, label: LabelColumn) -> np.ndarray:
        if task.traits.label == "number":
            numbers = [block.numbers(name, label.transform) for name in label.columns]
            if label.standardise:
                scales = self._columns.labels[task.name]
                numbers = [(n - scale.mean) / scale.deviation for n, scale in zip(numbers, scales, strict=True)]
            return np.stack(numbers, axis=1)
        (name,) = label.columns
        texts = block.texts(name)
        if task.traits.label == "class":
            classes = self._classes[task.name]
            return looked_up(texts, lambda value: classes.get(value, -1), -1, np.int32)
        if label.positive is not None:
            positive = canonical(label.positive)
            return looked_up(texts, lambda value: value == positive, np.nan, np.float32)
        labels = looked_up(texts, lambda value: TRUTH.get(value, -1), np.nan, np.float32)
        block.reject(name, labels == -1, "0, 1, false or true, where no `positive` is named")
        return labels


def looked_up(texts: Texts, lookup: Callable[[str], float], missing: float, dtype: type) -> np.ndarray:
    """`lookup` of each row's text, `missing` where there is none: (N,). Each value is looked up but once."""
    found = [missing if value is None else lookup(value) for value in texts.values]
    return np.array([*found, missing], dtype)[texts.codes]


def _weight(block: Block, name: str) -> np.ndarray:
    weight = block.numbers(name)
    block.reject(name, ~(weight >= 0), "a weight of 0 or more")  # NaN, a missing one, among them
    return weight
