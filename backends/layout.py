"""How the spec's parameters lie in a backend: one flat vector, cut into few native tensors.

Parameters and optimizer slots are one vector each, so that an optimizer is a handful of operations on it. What is tied
together (see `backends.stacks`) is concatenated in memory and nothing more. So the vector is all of the spec's
parameters laid end to end, in the order that `Layout.tensors` gives, and a native tensor is a slice of it with a shape.
"""

import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backends.stacks import Stack, Table, alike, tie, tie_tables
from spec.model import ModelSpec, TaskSpec
from spec.params import Params, parameter_shapes, stacks


@dataclass(frozen=True)
class Tensor:
    """A native parameter: its place in the flat vector, and the spec's parameters that it ties together."""

    shape: tuple[int, ...]
    start: int
    stop: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The network as a backend builds it. Its tensors are called tables.0.embedding, trunk.0.kernel, heads.0.1.bias."""

    model: ModelSpec
    tables: tuple[Table, ...]
    trunk: Stack
    heads: tuple[Stack, ...]
    tensors: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        """Parameters of the network, those of the vector; what else a vector has stands behind them."""
        return max(tensor.stop for tensor in self.tensors.values())

    @property
    def shared_size(self) -> int:
        """Of these, how many are all tasks': embeddings and trunk, which come first."""
        return self.last_shared_tensors[-1].stop

    @property
    def last_shared_kernel(self) -> slice:
        """Where the kernel of the last layer that all tasks share is."""
        kernel = self.last_shared_tensors[0]
        return slice(kernel.start, kernel.stop)

    @property
    def last_shared_tensors(self) -> list[Tensor]:
        """The tensors of the last layer that all tasks share, the kernel first."""
        last = f"{self.trunk.name}.{len(self.trunk.layers) - 1}."
        return [tensor for name, tensor in self.tensors.items() if name.startswith(last)]

    @property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """The tasks in the backend's order: those of tied heads stand together."""
        return tuple(task for head in self.heads for task in head.tasks)

    @property
    def task_places(self) -> list[int]:
        """For each task in the spec's order, where it is in the layout's."""
        names = [task.name for task in self.tasks]
        return [names.index(task.name) for task in self.model.tasks]

    def to_vector(self, params: Mapping[str, np.ndarray]) -> np.ndarray:
        """The spec's parameters as one new flat vector (parameters,)."""
        return np.concatenate([np.ravel(params[part]) for t in self.tensors.values() for part in t.parts])

    def to_params(self, vector: np.ndarray) -> Params:
        """The inverse of `to_vector`: a new dict in the spec's order."""
        shapes = parameter_shapes(self.model)
        start, params = 0, {}
        for part in (part for t in self.tensors.values() for part in t.parts):
            stop = start + math.prod(shapes[part])
            params[part] = vector[start:stop].reshape(shapes[part]).copy()
            start = stop
        return {name: params[name] for name in shapes}

    def to_tensors(self, vector: Any) -> dict[str, Any]:
        """Views of a flat vector (parameters,) of any framework, by native name and in native shape."""
        return {name: vector[t.start : t.stop].reshape(t.shape) for name, t in self.tensors.items()}

    def from_tensors(self, tensors: Mapping[str, np.ndarray]) -> Params:
        """The spec's parameters out of native tensors by name. Raises ValueError for those of another network."""
        if tensors.keys() != self.tensors.keys():
            raise ValueError(f"state: expected the entries {', '.join(self.tensors)}, got {', '.join(tensors)}")
        for name, tensor in self.tensors.items():
            if tensors[name].shape != tensor.shape:
                raise ValueError(f"state[{name!r}]: expected shape {tensor.shape}, got {tensors[name].shape}")
        return self.to_params(np.concatenate([np.ravel(tensors[name]) for name in self.tensors]))

    def by_task(self, stacked: Sequence[Any]) -> dict[str, Any]:
        """From arrays (members…, …) of any framework, one for each of `heads`, each task's, in the spec's order."""
        arrays: dict[str, Any] = {}
        for head, array in zip(self.heads, stacked, strict=True):
            members = array if head.tied else (array,)
            arrays |= {task.name: member for task, member in zip(head.tasks, members, strict=True)}
        return {task.name: arrays[task.name] for task in self.model.tasks}


@functools.lru_cache(maxsize=64)
def layout_of(model: ModelSpec) -> Layout:
    """The layout of a model."""
    trunk, *heads = stacks(model)
    tied_trunk = tie("trunk", [trunk], model)
    tied_heads = tuple(tie(f"heads.{i}", members, model) for i, members in enumerate(alike(heads)))
    tables = tie_tables(model)
    tensors: dict[str, Tensor] = {}
    start = 0
    for name, shape, parts in (*_table_tensors(tables, model), *_stack_tensors((tied_trunk, *tied_heads))):
        stop = start + math.prod(shape)
        tensors[name] = Tensor(shape, start, stop, parts)
        start = stop
    return Layout(model, tables, tied_trunk, tied_heads, tensors)


NamedShape = tuple[str, tuple[int, ...], tuple[str, ...]]
"""A tensor's name, its shape, and the spec's parameters that it ties together."""


def _table_tensors(tables: Sequence[Table], model: ModelSpec) -> Iterator[NamedShape]:
    for i, table in enumerate(tables):
        parts = tuple(f"embeddings.{model.categorical[column].name}" for column in table.columns)
        yield f"tables.{i}.embedding", (table.rows, table.dimension), parts


def _stack_tensors(stacks: Iterable[Stack]) -> Iterator[NamedShape]:
    for stack in stacks:
        for i, dense in enumerate(stack.layers):
            for part, shape in dense.shapes.items():
                yield f"{stack.name}.{i}.{part}", shape, tuple(f"{s.name}.{i}.{part}" for s in stack.members)
