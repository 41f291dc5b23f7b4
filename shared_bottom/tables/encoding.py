"""The rows of a table, encoded as the arrays that the network takes, by what was learnt from the training rows."""

from collections.abc import Callable, Mapping

import numpy as np

from shared_bottom.tables.blocks import Block, Texts
from shared_bottom.tables.columns import FittedColumns, Scale
from shared_bottom.tables.times import numeric_part, part_ids
from shared_bottom.tables.values import bucket, canonical
from spec.columns import CategoricalColumn, LabelColumn
from spec.data import Dataset
from spec.model import TaskSpec
from spec.table import TableSpec

TRUTH = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0}
"""The values that a binary label may have if its `positive` is not given."""


def column_names(data: TableSpec, *, labels: bool) -> tuple[str, ...]:
    """The columns that are read from a file, each once: those of the inputs and, if `labels`, of labels and weights."""
    names = list(data.inputs)
    if labels:
        names += [name for label in data.labels.values() for name in label.columns]
        names += [] if data.weight is None else [data.weight]
    return tuple(dict.fromkeys(names))


class Encoder:
    """Encodes blocks of rows.

    columns: what was learnt from the training rows.
    labels: whether to encode labels and weights too. If so, the blocks must have their columns.
    """

    def __init__(self, columns: FittedColumns, *, labels: bool) -> None:
        self._columns, self._labels = columns, labels
        self._id_of_value = {column.name: self._lookup(column) for column in columns.data.categorical}
        self._class_numbers = {
            task: {value: number for number, value in enumerate(values)} for task, values in columns.classes.items()
        }

    def __call__(self, block: Block) -> Dataset:
        """The block's N rows: numeric float32, ids int32, labels and weights as `Dataset` describes them.

        Raises ValueError if a value is not one that its column can have.
        """
        data = self._columns.data
        times = {column.name: block.times(column.name, column.missing) for column in data.time}
        ids = [
            look_up(block.texts(column.name, column.missing), self._id_of_value[column.name], 0, np.int32)
            for column in data.categorical
        ]
        ids += [
            part_ids(times[column.name], part) for column in data.time for part in column.categorical_parts.values()
        ]
        labels, weight = {}, None
        if self._labels:
            labels = {task.name: self._label(block, task, data.labels[task.name]) for task in self._columns.tasks}
            weight = None if data.weight is None else _weight(block, data.weight)
        return Dataset(
            numeric=self._numeric(block, times) if self._columns.numeric else None,
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

    def _numeric(self, block: Block, times: Mapping[str, np.ndarray]) -> np.ndarray:
        """float32 (N, numeric inputs + indicators of missing values)."""
        columns = self._columns
        inputs, missing = [], {}
        for column in columns.data.numeric:
            numbers = block.numbers(column.name, column.transform, column.missing)
            missing[column.name] = np.isnan(numbers)
            numbers = _filled(numbers, columns.numeric[column.name], standardise=column.standardise)
            block.reject(column.name, np.abs(numbers) > np.finfo(np.float32).max, "a number that fits float32")
            inputs.append(numbers.astype(np.float32))
        for time in columns.data.time:
            for name, part in time.numeric_parts.items():
                numbers = numeric_part(times[time.name], part)
                missing[name] = np.isnan(numbers)
                inputs.append(_filled(numbers, columns.numeric[name], standardise=True).astype(np.float32))
        return np.stack([*inputs, *(missing[name] for name in columns.indicators)], axis=1)

    def _label(self, block: Block, task: TaskSpec, label: LabelColumn) -> np.ndarray:
        """Numbers float64 (N, outputs); classes int32 (N,), -1 if missing; truth float32 (N,), NaN if missing."""
        if task.traits.label == "number":
            numbers = [block.numbers(name, label.transform, label.missing) for name in label.columns]
            if label.standardised:
                scales = self._columns.labels[task.name]
                numbers = [(n - scale.mean) / scale.deviation for n, scale in zip(numbers, scales, strict=True)]
            return np.stack(numbers, axis=1)
        (name,) = label.columns
        texts = block.texts(name, label.missing)
        if task.traits.label == "class":
            class_numbers = self._class_numbers[task.name]
            return look_up(texts, lambda value: class_numbers.get(value, -1), -1, np.int32)
        if label.positive is not None:
            positive = canonical(label.positive)
            return look_up(texts, lambda value: value == positive, np.nan, np.float32)
        truth = look_up(texts, lambda value: TRUTH.get(value, -1), np.nan, np.float32)
        block.reject(name, truth == -1, "0, 1, false or true, where no `positive` is named")
        return truth


def _filled(numbers: np.ndarray, scale: Scale, *, standardise: bool) -> np.ndarray:
    """The numbers with the mean where one is missing, standardised if so told: float64 (N,)."""
    numbers = np.where(np.isnan(numbers), scale.mean, numbers)
    return (numbers - scale.mean) / scale.deviation if standardise else numbers


def look_up(texts: Texts, lookup: Callable[[str], float], missing: float, dtype: type) -> np.ndarray:
    """What a function returns for the text of each row: (N,).

    texts: a column of N texts.
    lookup: the function. It is called once for each distinct value, not once for each row.
    missing: what stands in the rows whose text is missing.
    dtype: the type of the result's elements.
    """
    results = [missing if value is None else lookup(value) for value in texts.values]
    return np.array([*results, missing], dtype)[texts.codes]  # the code -1 of a missing text selects the last element


def _weight(block: Block, name: str) -> np.ndarray:
    weight = block.numbers(name)
    block.reject(name, ~(weight >= 0), "a weight of 0 or more")  # written so that NaN, a missing weight, is rejected
    return weight
