"""What of the network is tied together in a backend: embedding tables of one dimension, and stacks that are alike.

Time and compile time grow with the number of arrays, so what has one shape becomes one array:
  - embedding tables of one dimension stand below each other, and one gather serves them all (ids get offsets), those
    that training moves and frozen ones apart;
  - stacks that agree in all that a step computes by stand behind each other, and one batched product serves them all.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spec.losses import Loss
from spec.model import ModelSpec, Pooling
from spec.network import Gate, Level, Stack
from spec.params import layer_shapes
from spec.random import layer_key
from spec.tasks import TaskSpec

NamedShape = tuple[str, tuple[int, ...], tuple[str, ...]]
"""An array's name, its shape, and the spec's parameters that it ties together."""


@dataclass(frozen=True)
class Lookup:
    """What a feature looks up in a table: an id, or several whose embeddings are pooled."""

    feature: int
    """Its place among the model's features."""
    columns: slice
    """Which of the table's columns have its ids."""
    pooling: Pooling | None
    """None where it has one id, which is always there; otherwise -1 marks a place without an id."""


@dataclass(frozen=True)
class EmbeddingTable:
    """Embedding tables of one dimension below each other: (rows, dimension)."""

    name: str
    dimension: int
    rows: int
    parts: tuple[str, ...]
    """The spec's tables, from the first row to the last."""
    trainable: bool
    columns: tuple[int, ...]
    """Which categorical columns look here."""
    offsets: tuple[int, ...]
    """The row at which the table of each column starts."""
    lookups: tuple[Lookup, ...]
    """What each feature takes of these columns."""

    @property
    def pooled(self) -> bool:
        """Whether a feature that looks here has several ids."""
        return any(lookup.pooling for lookup in self.lookups)

    def touched(self, batch_rows: int) -> "EmbeddingTable":
        """The table of the rows that a batch names: as many as it can name, its ids being their places."""
        rows = min(self.rows, batch_rows * len(self.columns))
        if self.rows + rows >= 2**31:  # rows past the table's end stand for none
            raise ValueError(f"categorical: expected lazily updated tables with below 2^31 ids, got {self.rows:,}")
        return replace(self, rows=rows, offsets=(0,) * len(self.offsets))

    @property
    def tensors(self) -> Iterator[NamedShape]:
        """Its one array."""
        yield f"{self.name}.embedding", (self.rows, self.dimension), self.parts


@dataclass(frozen=True)
class Dense:
    """The layers at one place of tied stacks: kernel (members…, in, out), bias (members…, out)."""

    inputs: int
    outputs: int
    hidden: bool
    members: tuple[int, ...]
    """The leading axis: () for one stack alone, (stacks,) for several that are tied together."""
    dropout_keys: tuple[int, ...]
    """Of each member."""
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of each native parameter, by the last part of its name."""


@dataclass(frozen=True)
class TiedStack:
    """Stacks of the spec that are tied together, or one alone: the experts of a level, or the heads of like tasks."""

    name: str
    """What its tensors' names begin with."""
    members: tuple[Stack, ...]
    layers: tuple[Dense, ...]
    objective: Loss | None = None
    """The loss of the tasks whose heads these are: tied heads have one."""

    @property
    def tensors(self) -> Iterator[NamedShape]:
        """Its arrays, layer by layer."""
        for i, dense in enumerate(self.layers):
            for part, shape in dense.shapes.items():
                yield f"{self.name}.{i}.{part}", shape, tuple(f"{member.name}.{i}.{part}" for member in self.members)

    @property
    def tied(self) -> bool:
        """Whether its arrays have a leading axis of members."""
        return bool(self.layers[0].members)

    @property
    def loss(self) -> str:
        """The kind of that loss."""
        assert self.objective is not None
        return self.objective.kind

    @property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """The tasks whose heads these are."""
        return tuple(member.task for member in self.members if member.task)


@dataclass(frozen=True)
class TiedGates:
    """The gates of a level's tasks, or that of its shared experts: kernel (tasks…, in, experts)."""

    name: str
    members: tuple[Gate, ...]
    shape: tuple[int, ...]

    @property
    def tensors(self) -> Iterator[NamedShape]:
        """Its one array."""
        yield f"{self.name}.kernel", self.shape, tuple(f"{member.layer.name}.kernel" for member in self.members)


@dataclass(frozen=True)
class TiedLevel:
    """A level of the network: all its experts as one stack, and its gates."""

    name: str
    """What its tensors' names begin with."""
    experts: TiedStack
    """Those of each task in the spec's order, then the shared ones."""
    task_gates: TiedGates
    shared_gate: TiedGates | None
    """None in the last level, where nothing takes what it would give."""

    @property
    def tensors(self) -> Iterator[NamedShape]:
        """Its arrays, the experts' layer by layer."""
        yield from self.experts.tensors
        yield from self.task_gates.tensors
        if self.shared_gate:
            yield from self.shared_gate.tensors


def alike(heads: Iterable[Stack]) -> Iterator[list[Stack]]:
    """The heads in groups that can be tied: those that agree in everything that a step computes by."""
    groups: dict[tuple[object, ...], list[Stack]] = {}
    for head in heads:
        assert head.task is not None
        shapes = tuple((layer.inputs, layer.outputs, layer.hidden) for layer in head.layers)
        groups.setdefault((head.task.kind, head.task.objective, shapes), []).append(head)
    yield from groups.values()


def tie_level(name: str, level: Level, model: ModelSpec) -> TiedLevel:
    """A level of the spec that has gates, its experts as one stack, which has an axis of experts in any case."""
    of_tasks = [gate for gate in level.gates if gate.task]
    first, shared = of_tasks[0].layer, [gate for gate in level.gates if not gate.task]
    return TiedLevel(
        name,
        tie(f"{name}.experts", level.experts, model, axis=(len(level.experts),)),
        TiedGates(f"{name}.task_gates", tuple(of_tasks), (len(of_tasks), first.inputs, first.outputs)),
        TiedGates(f"{name}.shared_gate", tuple(shared), (shared[0].layer.inputs, shared[0].layer.outputs))
        if shared
        else None,
    )


def tie(name: str, members: Sequence[Stack], model: ModelSpec, *, axis: tuple[int, ...] | None = None) -> TiedStack:
    """Equal stacks of the spec as one. axis: its leading axis, if not the default, which is none for one alone."""
    if axis is None:
        axis = (len(members),) if len(members) > 1 else ()
    layers = []
    for tied in zip(*(member.layers for member in members), strict=True):
        first = tied[0]
        keys = tuple(layer_key(layer.name) for layer in tied)
        shapes = {part: (*axis, *shape) for part, shape in layer_shapes(first, model).items()}
        layers.append(Dense(first.inputs, first.outputs, first.hidden, axis, keys, shapes))
    task = members[0].task
    return TiedStack(name, tuple(members), tuple(layers), task.objective if task else None)


def tie_tables(model: ModelSpec, frozen: Collection[str]) -> tuple[EmbeddingTable, ...]:
    """The embedding tables, those of one dimension as one if training moves both or neither.

    frozen: the parameters that training does not move.

    Raises ValueError if one would have too many rows.
    """
    members: dict[tuple[int, bool], list[int]] = {}
    for place, feature in enumerate(model.categorical):
        members.setdefault((feature.dimension, feature.parameter not in frozen), []).append(place)
    return tuple(
        _tie_table(f"tables.{i}", dimension, trainable, places, model)
        for i, ((dimension, trainable), places) in enumerate(members.items())
    )


def _tie_table(name: str, dimension: int, trainable: bool, places: Sequence[int], model: ModelSpec) -> EmbeddingTable:
    features = [model.categorical[place] for place in places]
    vocabularies = {feature.parameter: feature.vocabulary for feature in features}
    *starts, rows = np.cumsum([0, *vocabularies.values()]).tolist()
    if rows >= 2**31:  # a row's number is an int32, as an id is
        raise ValueError(f"categorical: expected tables of dimension {dimension} with below 2^31 ids, got {rows:,}")
    offset = dict(zip(vocabularies, starts, strict=True))
    columns: list[int] = []
    lookups = []
    for place, feature in zip(places, features, strict=True):
        in_data = model.id_columns[place]
        in_table = slice(len(columns), len(columns) + feature.length)
        columns += range(in_data.start, in_data.stop)
        lookups.append(Lookup(place, in_table, feature.pooling if feature.length > 1 else None))
    offsets = tuple(offset[feature.parameter] for feature in features for _ in range(feature.length))
    return EmbeddingTable(
        name, dimension, rows, tuple(vocabularies), trainable, tuple(columns), offsets, tuple(lookups)
    )
