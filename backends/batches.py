"""The rows of a data set as training steps: gathered, padded and weighted in NumPy, once for every backend.

Missing labels, row weights and the padding of a short batch all come down to one number per row and task, the row's
share of the task's mean loss:

    share_it = w_it·m_it / Σ_j w_jt·m_jt        (0 for all rows if the sum is 0)

with w_it = sample_weight_i · task_weight_it, so that a backend computes Σ_i share_it·ℓ_it and knows nothing of masks.
Shares are made in float64.
"""

from collections.abc import Iterator

import numpy as np

from backends.layout import Layout
from backends.lazy import touch
from backends.stacks import TiedStack
from spec.data import Dataset, label_present, label_shape
from spec.model import TaskSpec
from spec.training import Precision

Batches = dict[str, np.ndarray]
"""The arrays of `steps` steps, by name:
  numeric (steps, rows, columns), categorical int32 (steps, rows, columns): where the model has such inputs;
  labels.<i> (steps, tasks…, rows, outputs) where each output has a label, else without the last axis; int32 classes;
  shares.<i> (steps, tasks…, rows), for head i of the layout, tasks… being its leading axis;
  touched.<table> int32 (steps, length): with lazy embedding updates, see `backends.lazy`;
  learning_rate (steps,), debias (steps, 2) and, with dropout, dropout_key (steps,): what a step's number decides.
What a step computes with stands in the dict of one step besides: the layout's frozen tensors, by name."""

MAX_CALL_BYTES = 256 * 2**20
"""Most bytes of batches that one call hands to the device."""


class BatchSource:
    """Encodes a checked data set once, in the arrays' final types, and cuts it into steps of `batch_size` rows."""

    def __init__(self, layout: Layout, data: Dataset, batch_size: int, precision: Precision) -> None:
        self.layout, self.rows = layout, data.rows
        self.batch_size = min(batch_size, data.rows)
        self._dtype = np.dtype(precision)
        self._columns: Batches = encode_inputs(layout, data, precision)
        self._tied = {
            f"{part}.{i}" for i, head in enumerate(layout.heads) if head.tied for part in ("labels", "shares")
        }
        self._row_weights: list[np.ndarray] = []
        for i, head in enumerate(layout.heads):
            self._columns[f"labels.{i}"], weight = _encode_head(head, data, self._dtype)
            self._row_weights.append(weight)
        # Where every row counts alike, shares depend on the number of rows alone: made once, not every epoch.
        self._uniform = all(bool((weight == 1).all()) for weight in self._row_weights)
        self._uniform_shares: dict[int, Batches] = {}

    def steps_per_call(self) -> int:
        """How many steps' batches stay within MAX_CALL_BYTES; at least one."""
        row_bytes = sum(column[:1].nbytes for column in self._columns.values())
        row_bytes += sum(weight[:1].size * self._dtype.itemsize for weight in self._row_weights)
        row_bytes += 4 * sum(len(table.columns) for table in self.layout.tables if self.layout.lazy)  # rows named
        step_bytes = row_bytes * self.batch_size + 32  # what its number decides
        return max(1, MAX_CALL_BYTES // step_bytes)

    def take(self, order: np.ndarray) -> Batches:
        """The rows `order` (n,) as ⌈n / batch_size⌉ steps. The last is padded with its own rows, whose shares are 0."""
        missing = -len(order) % self.batch_size
        index = np.concatenate([order, np.resize(order[missing - self.batch_size :], missing)]) if missing else order
        batches = {name: self._steps(name, column.take(index, axis=0)) for name, column in self._columns.items()}
        if "categorical" in batches:
            batches |= touch(self.layout, batches["categorical"])
        return batches | self._shares(order, index)

    def _steps(self, name: str, rows: np.ndarray) -> np.ndarray:
        steps = rows.reshape(-1, self.batch_size, *rows.shape[1:])  # (steps, rows, tasks…, …)
        return np.ascontiguousarray(steps.swapaxes(1, 2)) if name in self._tied else steps

    def _shares(self, order: np.ndarray, index: np.ndarray) -> Batches:
        if self._uniform and len(order) in self._uniform_shares:
            return self._uniform_shares[len(order)]
        shares: Batches = {}
        for i, weight in enumerate(self._row_weights):
            rows = weight.take(index, axis=0)
            rows[len(order) :] = 0.0
            rows = self._steps(f"shares.{i}", rows)
            total = rows.sum(axis=-1, keepdims=True)
            shares[f"shares.{i}"] = (rows / np.where(total > 0, total, 1.0)).astype(self._dtype)
        if self._uniform:
            self._uniform_shares[len(order)] = shares
        return shares


def encode_inputs(layout: Layout, data: Dataset, precision: Precision) -> Batches:
    """The model's input columns in the types that a backend takes: numeric and int32 categorical (rows, columns)."""
    inputs: Batches = {}
    if layout.model.numeric:
        assert data.numeric is not None
        inputs["numeric"] = np.ascontiguousarray(data.numeric, dtype=precision)
    if layout.model.categorical:
        assert data.categorical is not None
        inputs["categorical"] = np.ascontiguousarray(data.categorical, dtype=np.int32)
    return inputs


def row_chunks(rows: int, size: int) -> Iterator[np.ndarray]:
    """The indices 0 … rows-1 in pieces of `size`; a last, shorter one repeats indices, so that all have one shape.

    A backend may compile for each number of rows that it meets. Therefore a single piece is as long as a power of two.
    """
    size = min(size, 1 << (rows - 1).bit_length())
    for start in range(0, rows, size):
        yield np.resize(np.arange(start, min(start + size, rows)), size)


def _row_weight(task: TaskSpec, data: Dataset) -> np.ndarray:
    """Of each row, as float64 (rows,). Shares are ratios: where the largest weight is 1, no sum overflows."""
    weight = data.weight(task.name)
    if weight is None:
        return np.ones(data.rows)
    weight = weight.astype(np.float64)
    return weight / (weight.max() or 1.0)


def _encode_head(head: TiedStack, data: Dataset, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Labels (rows, tasks…, outputs if each has one), 0 where one is missing, and float64 weights (rows, tasks…)."""
    labels, weights = [], []
    for task in head.tasks:
        label = data.labels[task.name].reshape(label_shape(task, data.rows))
        present = label_present(label, task)
        weights.append(_row_weight(task, data) * present)
        present = present.reshape(-1, *(1,) * (label.ndim - 1))
        label_dtype = np.dtype(np.int32) if task.traits.label == "class" else dtype
        labels.append(np.where(present, np.ma.getdata(label), 0).astype(label_dtype))
    if not head.tied:
        return labels[0], weights[0]
    return np.stack(labels, axis=1), np.stack(weights, axis=1)
