"""How the spec's parameters lie in a backend: one flat vector, cut into few native tensors.

Parameters and optimizer slots are one vector each, so that an optimizer is a handful of operations on it. What is tied
together (see `backends.stacks`) is concatenated in memory and nothing more. So the vector is all of the spec's
parameters laid end to end, in the order that `Layout.tensors` gives, and a native tensor is a slice of it with a shape.

Only what training moves is in the vector. A frozen parameter has no place there, so that no step passes over it. Of
tensors that tie both together, the vector has a tensor of those members that move, and the network takes one that is
joined of these and of the frozen ones.

With lazy embedding updates the tables stay outside of the vector too: at each step the rows that its batch names are
copied to the vector's front, moved there like everything else, and copied back. To the step they are tables of so many
rows as a batch can name, and so they are in its layout. `backends.lazy` says which rows a batch names.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backends.places import PlacedTensor, Tensor, divided, pieces_of, places_among, places_of, span
from backends.stacks import EmbeddingTable, TiedLevel, TiedStack, alike, tie, tie_level, tie_tables
from spec.model import ModelSpec
from spec.network import heads, levels
from spec.params import (
    Params,
    check_params,
    frozen_parameters,
    last_shared_parameters,
    parameter_shapes,
    shared_parameters,
)
from spec.tasks import TaskSpec, given_first


@dataclass(frozen=True)
class Layout:
    """The network as a backend builds it. Its tensors are called tables.0.embedding, trunk.0.kernel, heads.0.1.bias;
    where experts are gated, levels.0.experts.0.kernel and levels.0.task_gates.kernel stand for the trunk."""

    model: ModelSpec
    tables: tuple[EmbeddingTable, ...]
    trunk: TiedStack | None
    """The trunk, or each task's, where experts are not gated."""
    levels: tuple[TiedLevel, ...]
    """The levels of experts, where they are."""
    heads: tuple[TiedStack, ...]
    native: Mapping[str, Tensor]
    """All tensors in the network's order."""
    tensors: Mapping[str, PlacedTensor]
    """What training moves, in the vector's order."""
    frozen: Mapping[str, Tensor]
    """What it does not."""
    whole_tables: tuple[EmbeddingTable, ...]
    """`tables` with all of their rows."""
    lazy: Mapping[str, Tensor]
    """The whole tables, of which `tensors` has only as many rows as a batch names; none if updates are dense."""
    pieces: tuple[tuple[slice, bool], ...]
    """The vector in pieces, and whether each is parameters that several tasks depend on, or else one task alone."""
    last_shared: slice
    """Where in the vector the parameters are on which GradNorm compares the tasks: see `spec.sharing`."""
    head_places: tuple[slice | list[int], ...]
    """For each of `heads`, where its tasks are among the spec's: from one to another, or each one's number."""
    chains: tuple[tuple[str, str], ...]
    """The tasks that are given another, each after the one that it is given; and which that is."""
    joined: Mapping[str, list[int]]
    """The tensors of which training moves some members and not the others: where each member is among those that it
    moves and then the others. A field, since PyTorch's compiler cannot see into a property that is computed once."""

    @property
    def size(self) -> int:
        """Parameters that training moves, those of the vector; what else a vector has stands behind them."""
        return max(tensor.stop for tensor in self.tensors.values())

    @property
    def lazy_size(self) -> int:
        """Of these, how many are rows of lazily updated tables. They come first."""
        return sum(self.tensors[name].stop - self.tensors[name].start for name in self.lazy)

    @property
    def lazy_rows(self) -> int:
        """How many rows of lazily updated tables a step has, those of all tables together."""
        return sum(self.tensors[name].shape[0] for name in self.lazy)

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
        """Those of the spec's parameters that training moves, as one new flat vector (parameters,).

        Where rows of lazily updated tables belong there are zeros.
        """
        rows = [np.zeros(self.lazy_size, next(iter(params.values())).dtype)]
        moved = (t for name, t in self.tensors.items() if name not in self.lazy)
        return np.concatenate(rows + [np.ravel(params[part]) for t in moved for part in t.parts])

    def to_params(
        self,
        vector: np.ndarray,
        others: Mapping[str, np.ndarray] | None = None,
        tables: Mapping[str, np.ndarray] | None = None,
        *,
        copy: bool = True,
    ) -> Params:
        """The inverse of `to_vector` and `lazy_tables`: a dict in the spec's order.

        others: parameters by the spec's names, of which it has those that are neither in the vector nor in the tables.
        tables: the lazily updated tables, whole, by native name.
        copy: whether its arrays are new ones, or views of the vector and of the tables.
        """
        params = self._parts({**self.tensors, **self.lazy}, {**self.to_tensors(vector), **(tables or {})})
        if copy:
            params = {name: array.copy() for name, array in params.items()}
        return self._in_order(dict(others or {}) | params)

    def to_tensors(self, vector: Any) -> dict[str, Any]:
        """Views of a flat vector (parameters,) of any framework, by native name and in native shape."""
        return {name: vector[t.start : t.stop].reshape(t.shape) for name, t in self.tensors.items()}

    def frozen_tensors(self, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """New arrays of the spec's frozen parameters, by native name and in native shape."""
        return _join(self.frozen, params)

    def lazy_tables(self, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """New arrays of the lazily updated tables, whole, by native name."""
        return _join(self.lazy, params)

    def from_tensors(self, tensors: Mapping[str, np.ndarray], field: str = "state", *, frozen: bool = True) -> Params:
        """The spec's parameters out of native tensors by name. Raises ValueError for those of another network.

        field: what error messages call them.
        frozen: whether those that training does not move are among them; if not, what there is of them is left out.
        """
        expected: Mapping[str, Tensor] = self.native if frozen else self.tensors
        received = {name: tensor for name, tensor in tensors.items() if frozen or name not in self.frozen}
        for name in received:
            if name not in expected:
                raise ValueError(f"{field}: expected no entry {name!r}, which this network does not have")
        for name, tensor in expected.items():
            if name not in received:
                raise ValueError(f"{field}: expected an entry {name!r} of shape {tensor.shape}, got none")
        for name, tensor in expected.items():
            if tensors[name].shape != tensor.shape:
                raise ValueError(f"{field}[{name!r}]: expected shape {tensor.shape}, got {tensors[name].shape}")
        params = self._parts(expected, tensors)
        return self._in_order({name: array.copy() for name, array in params.items()})

    def _parts(self, placed: Mapping[str, Tensor], tensors: Mapping[str, np.ndarray]) -> Params:
        """Views of the spec's parameters that lie in native tensors."""
        shapes, params = parameter_shapes(self.model), {}
        for name, tensor in placed.items():
            flat, start = np.ravel(tensors[name]), 0
            for part in tensor.parts:
                stop = start + math.prod(shapes[part])
                params[part] = flat[start:stop].reshape(shapes[part])
                start = stop
        return params

    def _in_order(self, params: Mapping[str, np.ndarray]) -> Params:
        """In the spec's order."""
        return {name: params[name] for name in parameter_shapes(self.model) if name in params}

    def by_task(self, stacked: Sequence[Any]) -> dict[str, Any]:
        """From arrays (members…, …) of any framework, one for each of `heads`, each task's, in the spec's order."""
        arrays: dict[str, Any] = {}
        for head, array in zip(self.heads, stacked, strict=True):
            members = array if head.tied else (array,)
            arrays |= {task.name: member for task, member in zip(head.tasks, members, strict=True)}
        return {task.name: arrays[task.name] for task in self.model.tasks}


def native_arrays(model: ModelSpec, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The spec's parameters as all native tensors by name, new ones. Raises ValueError for params that do not fit."""
    check_params(model, params)
    layout = layout_of(model)
    return layout.to_tensors(layout.to_vector(params)) | layout.frozen_tensors(params)


def check_slots(model: ModelSpec, slots: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Raises ValueError if an optimizer's slots lack a parameter of the model's that training can move."""
    unmoved = frozen_parameters(model)
    for slot, values in slots.items():
        for name in parameter_shapes(model):
            if name not in values and name not in unmoved:
                frozen = "those of a run with train.frozen are none of an optimizer of all parameters"
                raise ValueError(f"slots.{slot}: expected an entry {name!r}, got none; {frozen}")


def _join(placed: Mapping[str, Tensor], params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """New native tensors of the spec's parameters, by native name."""
    return {name: np.concatenate([params[part] for part in t.parts]).reshape(t.shape) for name, t in placed.items()}


@functools.lru_cache(maxsize=64)
def layout_of(model: ModelSpec, lazy_batch: int | None = None, frozen: tuple[str, ...] = ()) -> Layout:
    """The layout of a model.

    lazy_batch: with lazy embedding updates, the rows of a batch; None without.
    frozen: see `TrainSpec.frozen`; a layout that does not serve a training run needs none.
    """
    still = frozenset(frozen_parameters(model, frozen))
    whole = tie_tables(model, still)
    trunk, tied_levels = None, tuple[TiedLevel, ...]()
    if model.sharing.gated:
        tied_levels = tuple(tie_level(f"levels.{i}", level, model) for i, level in enumerate(levels(model)))
    else:
        trunk = tie("trunk", levels(model)[0].experts, model)
    tables = whole if lazy_batch is None else tuple(t.touched(lazy_batch) if t.trainable else t for t in whole)
    lazy = {
        name: Tensor(shape, parts)
        for table in whole
        if lazy_batch is not None and table.trainable
        for name, shape, parts in table.tensors
    }
    tied_heads = tuple(tie(f"heads.{i}", members, model) for i, members in enumerate(alike(heads(model))))
    tied: tuple[EmbeddingTable | TiedLevel | TiedStack, ...]
    tied = (*tables, *((trunk,) if trunk else ()), *tied_levels, *tied_heads)
    native = {name: Tensor(shape, parts) for part in tied for name, shape, parts in part.tensors}
    tensors, frozen_tensors = divided(native, still)
    places, last_shared = list(places_of(model, tensors, lazy)), set(last_shared_parameters(model, frozen))
    return Layout(
        model=model,
        tables=tables,
        trunk=trunk,
        levels=tied_levels,
        heads=tied_heads,
        native=native,
        tensors=tensors,
        frozen=frozen_tensors,
        whole_tables=whole,
        lazy=lazy,
        pieces=pieces_of(places, set(shared_parameters(model))),
        last_shared=span(place for name, place in places if name in last_shared),
        head_places=tuple(places_among([task.name for task in model.tasks], head.tasks) for head in tied_heads),
        chains=tuple((task.name, task.given) for task in given_first(model.tasks) if task.given),
        joined={
            name: [(*moved.parts, *frozen_tensors[name].parts).index(part) for part in native[name].parts]
            for name, moved in tensors.items()
            if name in frozen_tensors
        },
    )
