"""How the spec's parameters lie in a backend: one flat vector, cut into few native tensors.

Time and compile time grow with the number of tensors, so what has one shape is tied together:
  - embedding tables of one dimension stand below each other, and one gather serves them all (ids get offsets);
  - heads of one kind, hidden widths and outputs stand behind each other, and one batched product serves them all;
  - parameters and optimizer slots are one vector each, so that an optimizer is a handful of operations on it.
Tying concatenates the spec's parameters in memory and nothing more. So the vector is all of them laid end to end, in
the order that `Layout.tensors` gives, and a native tensor is a slice of it with a shape.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spec.model import ModelSpec, TaskSpec
from spec.params import Params, layers, parameter_shapes
from spec.random import layer_key


@dataclass(frozen=True)
class Table:
    """Embedding tables of one dimension below each other: (rows, dimension)."""

    dimension: int
    rows: int
    columns: tuple[int, ...]
    """Which categorical columns look here."""
    offsets: tuple[int, ...]
    """The row at which each column's own table starts."""


@dataclass(frozen=True)
class Dense:
    """A layer, or the like layers of `heads` tasks behind each other: kernel (heads…, in, out), bias (heads…, out)."""

    inputs: int
    outputs: int
    hidden: bool
    heads: tuple[int, ...]
    """The leading axis: () for the trunk and for a head of its own shape, (tasks,) for several tied together."""
    dropout_keys: tuple[int, ...]
    """By task, or one for the trunk."""


@dataclass(frozen=True)
class Head:
    """The tasks whose heads have one shape, and their layers."""

    tasks: tuple[TaskSpec, ...]
    layers: tuple[Dense, ...]

    @property
    def kind(self) -> str:
        """The kind that all these tasks have."""
        return self.tasks[0].kind

    @property
    def tied(self) -> bool:
        """Whether its arrays have a leading axis of tasks."""
        return len(self.tasks) > 1


@dataclass(frozen=True)
class Tensor:
    """A native parameter: its place in the flat vector, and the spec's parameters that it ties together."""

    shape: tuple[int, ...]
    start: int
    stop: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The network as a backend builds it; its names are like the spec's: tables.0, trunk.0.kernel, heads.0.1.bias."""

    model: ModelSpec
    tables: tuple[Table, ...]
    trunk: tuple[Dense, ...]
    heads: tuple[Head, ...]
    tensors: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        """Parameters of the network, those of the vector; what else a vector has stands behind them."""
        return list(self.tensors.values())[-1].stop

    @property
    def shared(self) -> int:
        """Of these, how many are all tasks': embeddings and trunk, which come first."""
        return min(tensor.start for name, tensor in self.tensors.items() if name.startswith("heads."))

    @property
    def last_shared(self) -> slice:
        """Where the kernel of the trunk's last layer is."""
        kernel = self.tensors[f"trunk.{len(self.trunk) - 1}.kernel"]
        return slice(kernel.start, kernel.stop)

    @property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """The tasks in the backend's order: those of one head shape stand together."""
        return tuple(task for head in self.heads for task in head.tasks)

    @property
    def task_places(self) -> list[int]:
        """For each task in the spec's order, where it is in the layout's."""
        names = [task.name for task in self.tasks]
        return [names.index(task.name) for task in self.model.tasks]

    def to_tensors(self, flat: Any) -> dict[str, Any]:
        """Views of a flat vector (parameters,) of any framework, by native name and in native shape."""
        return {name: flat[t.start : t.stop].reshape(t.shape) for name, t in self.tensors.items()}

    def from_tensors(self, tensors: Mapping[str, np.ndarray]) -> Params:
        """The spec's parameters out of native tensors by name. Raises ValueError for those of another network."""
        if tensors.keys() != self.tensors.keys():
            raise ValueError(f"state: expected the entries {', '.join(self.tensors)}, got {', '.join(tensors)}")
        for name, tensor in self.tensors.items():
            if tensors[name].shape != tensor.shape:
                raise ValueError(f"state[{name!r}]: expected shape {tensor.shape}, got {tensors[name].shape}")
        return self.to_params(np.concatenate([np.ravel(tensors[name]) for name in self.tensors]))

    def by_task(self, logits: Sequence[Any]) -> dict[str, Any]:
        """From arrays (tasks…, …) of any framework, one a head, each task's own, in the spec's order."""
        found: dict[str, Any] = {}
        for head, stacked in zip(self.heads, logits, strict=True):
            own = stacked if head.tied else (stacked,)
            found |= {task.name: array for task, array in zip(head.tasks, own, strict=True)}
        return {task.name: found[task.name] for task in self.model.tasks}

    def to_vector(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """The spec's parameters as one new flat vector (parameters,)."""
        return np.concatenate([np.ravel(params[part]) for t in self.tensors.values() for part in t.parts])

    def to_params(self, flat: np.ndarray) -> Params:
        """The inverse of `to_vector`: a new dict in the spec's order."""
        shapes = parameter_shapes(self.model)
        start, found = 0, {}
        for part in (part for t in self.tensors.values() for part in t.parts):
            stop = start + math.prod(shapes[part])
            found[part] = flat[start:stop].reshape(shapes[part]).copy()
            start = stop
        return {name: found[name] for name in shapes}


@functools.lru_cache(maxsize=64)
def layout_of(model: ModelSpec) -> Layout:
    """The layout of a model."""
    tables, trunk, heads = _tables(model), _trunk(model), _heads(model)
    tensors: dict[str, Tensor] = {}
    start = 0

    def add(name: str, shape: tuple[int, ...], parts: Iterable[str]) -> None:
        nonlocal start
        stop = start + math.prod(shape)
        tensors[name] = Tensor(shape, start, stop, tuple(parts))
        start = stop

    def add_dense(name: str, dense: Dense, layers: Iterable[str]) -> None:
        parts = list(layers)
        add(f"{name}.kernel", (*dense.heads, dense.inputs, dense.outputs), (f"{part}.kernel" for part in parts))
        add(f"{name}.bias", (*dense.heads, dense.outputs), (f"{part}.bias" for part in parts))
        if dense.hidden and model.normalization == "layer":
            for field in ("norm.scale", "norm.bias"):
                add(f"{name}.{field}", (*dense.heads, dense.outputs), (f"{part}.{field}" for part in parts))

    for i, table in enumerate(tables):
        features = (f"embeddings.{model.categorical[column].name}" for column in table.columns)
        add(f"tables.{i}", (table.rows, table.dimension), features)
    for i, dense in enumerate(trunk):
        add_dense(f"trunk.{i}", dense, [f"trunk.{i}"])
    for i, head in enumerate(heads):
        for j, dense in enumerate(head.layers):
            add_dense(f"heads.{i}.{j}", dense, (f"tasks.{task.name}.{j}" for task in head.tasks))
    return Layout(model, tables, trunk, heads, tensors)


def _tables(model: ModelSpec) -> tuple[Table, ...]:
    columns: dict[int, list[int]] = {}
    for column, feature in enumerate(model.categorical):
        columns.setdefault(feature.dimension, []).append(column)
    tables = []
    for dimension, members in columns.items():
        starts = np.cumsum([0, *(model.categorical[column].vocabulary for column in members)]).tolist()
        tables.append(Table(dimension, starts[-1], tuple(members), tuple(starts[:-1])))
    return tuple(tables)


def _trunk(model: ModelSpec) -> tuple[Dense, ...]:
    trunk = [layer for layer in layers(model) if layer.name.startswith("trunk.")]
    return tuple(Dense(layer.inputs, layer.outputs, True, (), (layer_key(layer.name),)) for layer in trunk)


def _heads(model: ModelSpec) -> tuple[Head, ...]:
    groups: dict[tuple[object, ...], list[TaskSpec]] = {}
    for task in model.tasks:
        groups.setdefault((task.kind, task.hidden, task.outputs), []).append(task)
    heads = []
    for tasks in groups.values():
        widths = (model.trunk[-1], *tasks[0].hidden, tasks[0].outputs)
        axis = (len(tasks),) if len(tasks) > 1 else ()
        stack = tuple(
            Dense(inputs, outputs, i < len(widths) - 2, axis, tuple(layer_key(f"tasks.{t.name}.{i}") for t in tasks))
            for i, (inputs, outputs) in enumerate(pairwise(widths))
        )
        heads.append(Head(tuple(tasks), stack))
    return tuple(heads)
