"""The rows of a table, encoded as the arrays that the network takes, by what was learnt from the training rows."""

from collections.abc import Callable

import numpy as np

from shared_bottom.tables.blocks import Block, Texts
from shared_bottom.tables.columns import FittedColumns, bucket, canonical
from shared_bottom.tables.tally import Tally
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
    tally: what counts the values that training never had; None: they are not counted.
    """

    def __init__(self, columns: FittedColumns, *, labels: bool, tally: Tally | None = None) -> None:
        self._columns, self._labels, self._tally = columns, labels, tally
        self._id_of_value = {column.name: self._lookup(column) for column in columns.data.categorical}
        self._class_numbers = {
            task: {value: number for number, value in enumerate(values)} for task, values in columns.classes.items()
        }

    def __call__(self, block: Block) -> Dataset:
        """The block's N rows: numeric float32, ids int32, labels and weights as `Dataset` describes them.

        Raises ValueError if a value is not one that its column can have.
        """
        data = self._columns.data
        ids = [self._ids(block.texts(name), name) for name in self._id_of_value]
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

    def _ids(self, texts: Texts, name: str) -> np.ndarray:
        """int32 (N,)."""
        lookup = self._id_of_value[name]
        if self._tally is not None:
            self._tally.add_values(name, texts.counts(), lookup)
        return look_up(texts, lookup, 0, np.int32)

    def _lookup(self, column: CategoricalColumn) -> Callable[[str], int]:
        if column.buckets is not None:
            buckets = column.buckets
            return lambda value: bucket(value, buckets)
        ids = {value: i for i, value in enumerate(self._columns.vocabularies[column.name], start=1)}
        return lambda value: ids.get(value, 0)

    def _numeric(self, block: Block) -> np.ndarray:
        """float32 (N, numeric columns + indicators of missing values)."""
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
        """Numbers float64 (N, outputs); classes int32 (N,), -1 if missing; truth float32 (N,), NaN if missing."""
        if task.traits.label == "number":
            numbers = [block.numbers(name, label.transform) for name in label.columns]
            if label.standardised:
                scales = self._columns.labels[task.name]
                numbers = [(n - scale.mean) / scale.deviation for n, scale in zip(numbers, scales, strict=True)]
            return np.stack(numbers, axis=1)
        (name,) = label.columns
        texts = block.texts(name)
        if task.traits.label == "class":
            class_numbers = self._class_numbers[task.name]
            if self._tally is not None:
                self._tally.add_classes(task.name, texts.counts(), class_numbers)
            return look_up(texts, lambda value: class_numbers.get(value, -1), -1, np.int32)
        if label.positive is not None:
            positive = canonical(label.positive)
            return look_up(texts, lambda value: value == positive, np.nan, np.float32)
        truth = look_up(texts, lambda value: TRUTH.get(value, -1), np.nan, np.float32)
        block.reject(name, truth == -1, "0, 1, false or true, where no `positive` is named")
        return truth


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
