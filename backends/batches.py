"""The rows of a data set as training steps: gathered, padded and weighted in NumPy, the same for every backend.

Missing labels, row weights and the padding of a short batch all come down to one number per row and task, the row's
share of the task's mean loss:

    share_it = w_it·m_it / Σ_j w_jt·m_jt        (0 for all rows if the sum is 0)

with w_it = sample_weight_i · task_weight_it, so that a backend computes Σ_i share_it·ℓ_it and knows nothing of masks.
Shares are made in float64.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from backends.gather import gather
from backends.layout import Layout, layout_of
from backends.lazy import touch
from backends.stacks import TiedStack
from spec.data import PIECE_ROWS, Dataset, label_present, label_shape
from spec.model import ModelSpec
from spec.tasks import TaskSpec
from spec.training import Precision

Batches = dict[str, np.ndarray]
"""The arrays of `steps` steps, by name:
  numeric (steps, rows, columns), categorical int32 (steps, rows, columns): where the model has such inputs;
  labels.<i> (steps, tasks…, rows, outputs) where each output has a label, else without the last axis; int32 classes;
  shares.<i> (steps, tasks…, rows), for head i of the layout, tasks… being its leading axis;
  touched.<table> int32 (steps, length): with lazy embedding updates, see `backends.lazy`;
  learning_rate (steps,), debias (steps, 2) and, with dropout, dropout_key (steps,): what a step's number decides.
What a step computes with stands in the dict of one step besides: `constants`."""

MAX_CALL_BYTES = 64 * 2**20
"""Most bytes of batches that are gathered at once, and that one call hands to the device."""


class BatchSource:
    """Cuts a checked data set into steps of `batch_size` rows, encoded in the arrays' final types.

    Rows in memory are encoded once. Those mapped from a file are encoded whenever they are gathered, so that only the
    rows of a call are in memory.
    """

    def __init__(self, layout: Layout, data: Dataset, batch_size: int, precision: Precision) -> None:
        self.layout, self.rows = layout, data.rows
        self.batch_size = min(batch_size, data.rows)
        self._data, self._precision = data, precision
        self._tied = {
            f"{part}.{i}" for i, head in enumerate(layout.heads) if head.tied for part in ("labels", "shares")
        }
        ranges = {task.name: _weight_range(task, data) for task in layout.tasks}
        self._largest = {name: largest for name, (_, largest) in ranges.items()}
        # Where every row counts alike, shares depend on the number of rows alone: made once, not every epoch.
        self._uniform = all(smallest == largest > 0 for smallest, largest in ranges.values())
        self._uniform_shares: dict[int, Batches] = {}
        columns, _ = self._encode(data.take(slice(1)))
        self._row_bytes = sum(column.nbytes for column in columns.values())
        self._row_bytes += len(layout.tasks) * np.dtype(precision).itemsize  # the shares
        self._row_bytes += 4 * sum(len(table.columns) for table in layout.tables if layout.lazy)  # what it names
        self._encoded = None if data.mapped else self._encode(data)

    def steps_per_call(self) -> int:
        """How many steps' batches stay within MAX_CALL_BYTES; at least one."""
        step_bytes = self._row_bytes * self.batch_size + 32  # what its number decides
        return max(1, MAX_CALL_BYTES // step_bytes)

    def take(self, order: np.ndarray) -> Batches:
        """The rows `order` (n,) as ⌈n / batch_size⌉ steps. The last is padded with rows of its own, of share 0."""
        padding = -len(order) % self.batch_size
        last_step = order[len(order) + padding - self.batch_size :]
        columns, weights = self._rows(np.concatenate([order, np.resize(last_step, padding)]))
        batches = {name: self._steps(name, column) for name, column in columns.items()}
        if "categorical" in batches:
            batches |= touch(self.layout, batches["categorical"])
        return batches | self._shares(len(order), weights)

    def _rows(self, index: np.ndarray) -> tuple[Batches, list[np.ndarray]]:
        """What `_encode` makes of the rows `index`."""
        if self._encoded is None:
            return self._encode(gather(self._data, index))
        columns, weights = self._encoded
        gathered = {name: column.take(index, axis=0) for name, column in columns.items()}
        return gathered, [weight.take(index, axis=0) for weight in weights]

    def _encode(self, rows: Dataset) -> tuple[Batches, list[np.ndarray]]:
        """The rows' inputs and labels (rows, …), and their float64 weights (rows, tasks…) for each head.

        Where every row counts alike there are no weights.
        """
        columns, heads = encode_inputs(self.layout, rows, self._precision), self.layout.heads
        columns |= {f"labels.{i}": _labels(head, rows, self._precision) for i, head in enumerate(heads)}
        return columns, [] if self._uniform else [_weights(head, rows, self._largest) for head in heads]

    def _steps(self, name: str, rows: np.ndarray) -> np.ndarray:
        steps = rows.reshape(-1, self.batch_size, *rows.shape[1:])  # (steps, rows, tasks…, …)
        return np.ascontiguousarray(steps.swapaxes(1, 2)) if name in self._tied else steps

    def _shares(self, count: int, weights: list[np.ndarray]) -> Batches:
        """Of rows with these weights, as `_encode` gives them, of which the first `count` are no padding."""
        if self._uniform:
            if count in self._uniform_shares:
                return self._uniform_shares[count]
            rows = -(-count // self.batch_size) * self.batch_size
            weights = [np.ones((rows, len(head.tasks)) if head.tied else rows) for head in self.layout.heads]
        shares: Batches = {}
        for i, weight in enumerate(weights):
            weight[count:] = 0.0
            of_steps = self._steps(f"shares.{i}", weight)
            total = of_steps.sum(axis=-1, keepdims=True)
            shares[f"shares.{i}"] = (of_steps / np.where(total > 0, total, 1.0)).astype(self._precision)
        if self._uniform:
            self._uniform_shares[count] = shares
        return shares


def constants(layout: Layout, params: Mapping[str, np.ndarray], numbers: Mapping[str, float] | None = None) -> Batches:
    """What is the same in all steps of a run, new arrays in the type of its parameters: the layout's frozen tensors by
    name; task_weights (tasks,), in the layout's order; and each of the `numbers` (), which are `TrainSpec.numbers`.
    """
    dtype = next(iter(params.values())).dtype
    given = {"task_weights": [task.weight for task in layout.tasks], **(numbers or {})}
    return layout.frozen_tensors(params) | {name: np.array(value, dtype) for name, value in given.items()}


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


def example_inputs(model: ModelSpec, params: Mapping[str, np.ndarray]) -> Batches:
    """Two rows of a model's inputs in the precision of its parameters, as `encode_inputs` gives them."""
    precision: Precision = "float32" if next(iter(params.values())).dtype == np.float32 else "float64"
    ids = sum(feature.length for feature in model.categorical)
    rows = Dataset(numeric=np.zeros((2, model.numeric)), categorical=np.zeros((2, ids), np.int32))
    return encode_inputs(layout_of(model), rows, precision)


def padded_inputs(layout: Layout, data: Dataset, precision: Precision, most: int) -> Iterator[Batches]:
    """The rows' inputs as `encode_inputs` makes them, at most so many rows at a time, in arrays that can be written to.

    A last, shorter piece repeats rows, so that all have one shape. A backend may compile for each number of rows that
    it meets. Therefore a single piece is as long as a power of two.
    """
    size = min(most, 1 << (data.rows - 1).bit_length())
    for rows in [data] if data.rows <= size else data.inputs.pieces(size):
        yield {name: _filled(array, size) for name, array in encode_inputs(layout, rows, precision).items()}


def _filled(array: np.ndarray, rows: int) -> np.ndarray:
    """As many rows: those of the array, again and again if it has fewer. One that can be written to."""
    if len(array) < rows:
        return np.resize(array, (rows, *array.shape[1:]))
    return array if array.flags.writeable else array.copy()


def _weight_range(task: TaskSpec, data: Dataset) -> tuple[float, float]:
    """The smallest and the largest weight of all rows for the task; as smallest 0 if a row has no label of it."""
    smallest, largest = np.inf, 0.0
    for rows in data.pieces(PIECE_ROWS):
        weight, complete = _row_weight(task, rows), label_present(rows.labels[task.name], task).all()
        smallest = min(smallest, float(weight.min()) if complete else 0.0)
        largest = max(largest, float(weight.max()))
    return smallest, largest


def _row_weight(task: TaskSpec, rows: Dataset) -> np.ndarray:
    """Of each row, as float64 (rows,)."""
    weight = rows.weight(task.name)
    return np.ones(rows.rows) if weight is None else weight.astype(np.float64)


def _labels(head: TiedStack, rows: Dataset, precision: Precision) -> np.ndarray:
    """Of a head's tasks: (rows, tasks…, outputs if each has one), 0 where one is missing."""
    labels = []
    for task in head.tasks:
        label = rows.labels[task.name].reshape(label_shape(task, rows.rows))
        present = label_present(label, task).reshape(-1, *(1,) * (label.ndim - 1))
        labels.append(np.where(present, np.ma.getdata(label), 0))
    dtype = np.int32 if head.tasks[0].traits.label == "class" else np.dtype(precision)  # tied tasks are of one kind
    return np.stack(labels, axis=1, dtype=dtype, casting="unsafe") if head.tied else labels[0].astype(dtype)


def _weights(head: TiedStack, rows: Dataset, largest: Mapping[str, float]) -> np.ndarray:
    """Of the rows for a head's tasks: float64 (rows, tasks…), 0 where a label is missing.

    largest: the largest weight in the data set, by task. Shares are ratios: where it becomes 1, no sum overflows.
    """
    weights = [
        _row_weight(task, rows) / (largest[task.name] or 1.0) * label_present(rows.labels[task.name], task)
        for task in head.tasks
    ]
    return np.stack(weights, axis=1) if head.tied else weights[0]
