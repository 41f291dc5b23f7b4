"""The rows of a table, encoded as the arrays that the network takes, by what was learnt from the training rows."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from shared_bottom.tables.blocks import Block, Texts
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.lists import column_values
from shared_bottom.tables.numbers import label_numbers, numeric_inputs
from shared_bottom.tables.quantiles import piecewise_linear, spread
from shared_bottom.tables.tally import Tally
from shared_bottom.tables.times import part_ids
from shared_bottom.tables.values import bucket, canonical, group_number
from spec.columns import CategoricalColumn, NumericColumn, TimeColumn, TimePart
from spec.data import Dataset, label_present
from spec.table import TableSpec
from spec.tasks import TaskSpec

TRUTH = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0}
"""The values that a binary label may have if its `positive` is not given."""
LARGEST = np.finfo(np.float32).max
MISSING = -1
"""Stands for a missing value until it is known what a missing value becomes."""


def column_names(data: TableSpec, *, labels: bool) -> tuple[str, ...]:
    """The columns that are read from a file, each once: those of the inputs and, if `labels`, of labels, weights and
    groups.
    """
    names = list(data.inputs)
    if labels:
        names += [name for label in data.labels.values() for name in label.columns]
        weights = (label.weight for label in data.labels.values())
        names += [name for name in (data.weight, *weights, data.group) if name is not None]
    return tuple(dict.fromkeys(names))


class Encoder:
    """Encodes blocks of rows by what was learnt from the training rows, the columns."""

    def __init__(self, columns: FittedColumns) -> None:
        self.columns, self._numeric_width = columns, columns.numeric_width
        self._id_of_value = [(column, self._lookup(column)) for column in columns.data.categorical]
        parts = [(column, [*column.categorical_parts.values()]) for column in columns.data.time]
        self._parts_of_time = [(column, of_column) for column, of_column in parts if of_column]
        self._class_numbers = {task: _numbered(values, 0) for task, values in columns.classes.items()}

    def __call__(self, block: Block, *, labels: bool, tally: Tally | None = None) -> Dataset:
        """The block's N rows: numeric float32, ids int32; labels, weights and groups as `Dataset` describes them.

        labels: whether to encode labels, weights and groups too. If so, the block must have their columns.
        tally: what counts the values that training never had; None: they are not counted.

        Raises ValueError if a value is not one that its column can have.
        """
        data = self.columns.data
        ids = [self._ids(block, column, lookup, tally) for column, lookup in self._id_of_value]
        ids += [_time_ids(block, column, parts) for column, parts in self._parts_of_time]
        of_tasks, weight, task_weight, group = {}, None, {}, None
        if labels:
            of_tasks = {task.name: self._label(block, task, tally) for task in self.columns.tasks}
            weight = None if data.weight is None else _weight(block, data.weight)
            if data.group is not None:
                group = look_up(block.texts(data.group), group_number, -1, np.int64)
            for task in self.columns.tasks:
                if (name := data.labels[task.name].weight) is not None:
                    task_weight[task.name] = _weight(block, name, needed=label_present(of_tasks[task.name], task))
        return Dataset(
            numeric=self._numeric(block) if self.columns.numeric else None,
            categorical=np.concatenate(ids, axis=1) if ids else None,
            labels=of_tasks,
            sample_weight=weight,
            task_weight=task_weight,
            group=group,
        )

    def _ids(
        self, block: Block, column: CategoricalColumn, lookup: Callable[[str], int], tally: Tally | None
    ) -> np.ndarray:
        """The ids of a column's values: int32 (N, length), -1 after the last value of a row that has fewer.

        In a column of length 1, a missing value has the id 0, like an unknown one.
        """
        texts, rows, places = column_values(block, column)
        known = look_up(texts, lookup, MISSING, np.int32)
        if tally is not None:
            unknown = len(known) - int(np.count_nonzero(known))
            tally.add_values(column.name, int(np.count_nonzero(known != MISSING)), unknown)
        if column.length == 1:
            return np.maximum(known, 0)[:, None]
        ids = np.full((block.rows, column.length), -1, np.int32)
        ids[rows, places] = np.maximum(known, 0)
        return ids

    def _lookup(self, column: CategoricalColumn) -> Callable[[str], int]:
        if column.buckets is not None:
            buckets = column.buckets
            return lambda value: bucket(value, buckets)
        ids = _numbered(self.columns.vocabularies[column.table_name], 1)
        return lambda value: ids.get(value, 0)

    def _numeric(self, block: Block) -> np.ndarray:
        """float32 (N, numeric inputs of the network): see `FittedColumns.model`."""
        columns, missing, start = self.columns, {}, 0
        encoded = np.empty((block.rows, self._numeric_width), np.float32)
        for column, numbers in numeric_inputs(columns.data, block):
            stop = start + columns.width(column.name)
            encoded[:, start:stop] = self._number(block, column, numbers)
            missing[column.name], start = np.isnan(numbers), stop
        for place, name in enumerate(columns.indicators, start=start):
            encoded[:, place] = missing[name]
        return encoded

    def _number(self, block: Block, column: NumericColumn, numbers: np.ndarray) -> np.ndarray:
        """The inputs that a numeric input becomes, without the indicator: float32 (N, inputs)."""
        name, scale = column.name, self.columns.numeric[column.name]
        if column.transform == "quantile":
            numbers = spread(numbers, self.columns.quantiles[name], column.distribution)
        numbers = np.where(np.isnan(numbers), scale.mean, numbers)
        if column.bins is not None:
            return piecewise_linear(numbers, self.columns.bins[name])
        if column.standardise:
            numbers = (numbers - scale.mean) / scale.deviation
        block.reject(name, np.abs(numbers) > LARGEST, "a number that fits float32")
        return numbers.astype(np.float32)[:, None]

    def _label(self, block: Block, task: TaskSpec, tally: Tally | None) -> np.ndarray:
        """Numbers float64 (N, outputs); classes int32 (N,), -1 if missing; truth float32 (N,), NaN if missing."""
        label = self.columns.data.labels[task.name]
        if task.traits.label == "number":
            numbers = label_numbers(block, task, label)
            if label.standardised(task.objective):
                scales = self.columns.labels[task.name]
                numbers = [(n - scale.mean) / scale.deviation for n, scale in zip(numbers, scales, strict=True)]
            return np.stack(numbers, axis=1)
        (name,) = label.columns
        texts = block.texts(name, label.missing)
        if task.traits.label == "class":
            class_numbers = self._class_numbers[task.name]
            if tally is not None:
                counts: Counter[str] = Counter()
                texts.add_to(counts)
                tally.add_classes(task.name, counts, class_numbers)
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


def _numbered(values: Sequence[str], start: int) -> dict[str, int]:
    """Their numbers, from `start`. An earlier version of this program may have learnt them in another spelling."""
    return {canonical(value): number for number, value in enumerate(values, start)}


def _time_ids(block: Block, column: TimeColumn, parts: Sequence[TimePart]) -> np.ndarray:
    """The ids of the parts of a time that are looked up in tables: int32 (N, parts)."""
    times = block.times(column.name, column.missing)
    return np.stack([part_ids(times, part) for part in parts], axis=1)


def _weight(block: Block, name: str, needed: np.ndarray | None = None) -> np.ndarray:
    """The weights in a column: float64 (N,).

    needed: bool (N,), the rows in which a weight may not be missing; None: all. Elsewhere a missing weight is 0.
    """
    weight = block.numbers(name)
    if needed is not None:
        weight = np.where(np.isnan(weight) & ~needed, 0.0, weight)
    block.reject(name, ~(weight >= 0), "a weight of 0 or more")  # written so that NaN, a missing weight, is rejected
    return weight
