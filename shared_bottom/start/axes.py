"""What the places along each axis of a parameter stand for: an input, a value, a class, a hidden unit.

Two networks' parameters of one name are compared by these meanings and not by their shapes: the row of a kernel belongs
to an input, wherever among the inputs it stands.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from shared_bottom.tables.columns import FittedColumns, identifier
from shared_bottom.tables.inherited import encodings
from shared_bottom.tables.values import canonical
from spec.model import CategoricalFeature, ModelSpec
from spec.network import Layer, Stack, heads, levels
from spec.params import layer_shapes
from spec.tasks import TaskSpec

INPUTS, VALUES = "inputs", "values"
"""The kinds of two axes: the network's inputs, and the values of a vocabulary."""


class Axis(NamedTuple):
    """The places along one axis of a parameter."""

    kind: Hashable
    """What they are together. Places of different kinds have nothing to do with each other."""
    size: int
    """How many they are."""
    names: Sequence[Hashable] | None = None
    """What each stands for. None: nothing of its own, so that an axis is the same as a whole or not at all."""
    unit: str = ""
    """What a place is called, in the plural."""


class Input(NamedTuple):
    """One of the numbers that the network takes."""

    column: str
    """The name of the numeric input, or of the categorical feature."""
    meaning: Hashable
    """All that decides what the number says: how its column is encoded, and which of its numbers it is."""


def axes(columns: FittedColumns, model: ModelSpec) -> dict[str, tuple[Axis, ...]]:
    """The axes of each parameter, by its name.

    columns: what the network's inputs and outputs are.
    model: the network, as `columns.model` makes it.
    """
    found: dict[str, tuple[Axis, ...]] = {}
    tables = vocabularies(columns)
    for feature in model.categorical:
        found[feature.parameter] = (tables.get(feature.parameter, _ids(feature)), _width(feature.dimension))
    for level in levels(model):
        entering = _named(INPUTS, inputs(columns, model), INPUTS) if level.reads_inputs else _width(model.trunk[-1])
        for stack in level.experts:
            found |= _stack(model, stack, entering, None)
        for gate in level.gates:
            experts = _named("experts", [level.experts[place].name for place in gate.experts], "experts")
            found[f"{gate.layer.name}.kernel"] = (entering, experts)
    for head in heads(model):
        assert head.task is not None
        found |= _stack(model, head, _width(model.trunk[-1]), outputs(columns, head.task))
    return found


def inputs(columns: FittedColumns, model: ModelSpec) -> list[Input]:
    """What the network takes, in order: see `FittedColumns.model`."""
    found = []
    for name, encoding in encodings(columns.data).items():
        learnt = (columns.numeric[name], columns.quantiles.get(name), columns.bins.get(name))
        found += [Input(name, (encoding, learnt, place)) for place in range(columns.width(name))]
    found += [Input(name, "missing") for name in columns.indicators]
    hashed = {identifier(column.table_name): column.buckets for column in columns.data.categorical}
    for feature in model.categorical:
        pooling = feature.pooling if feature.length > 1 else None
        table = (feature.parameter, feature.dimension, hashed.get(feature.table or feature.name))
        found += [Input(feature.name, (table, pooling, place)) for place in range(feature.dimension)]
    return found


def vocabularies(columns: FittedColumns) -> dict[str, Axis]:
    """The rows of each embedding table that has a vocabulary, by the parameter's name; None: that of unknown values."""
    return {
        f"embeddings.{identifier(table)}": _named(VALUES, [None, *values], VALUES)
        for table, values in columns.vocabularies.items()
    }


def outputs(columns: FittedColumns, task: TaskSpec) -> Axis:
    """What comes out of a task's head: the number that it says of the label, in which unit, and of which class, label
    column or level.
    """
    label, loss = columns.data.labels[task.name], task.objective
    kind: tuple[Hashable, ...] = (task.kind, loss.link)
    names: list[Hashable]
    if task.traits.label == "class":
        return _named(kind, columns.classes[task.name], "classes")
    if task.traits.label == "truth":
        positive = None if label.positive is None else canonical(label.positive)
        return _named((*kind, positive, task.given), [task.name], "outputs")
    scales = columns.labels[task.name] if label.standardised(loss) else [None] * len(label.columns)
    names = list(zip(label.columns, scales, strict=True))
    if loss.quantiles:
        names = [(name, level) for name in names for level in loss.quantiles]
    elif loss.width > 1:  # the numbers that a distribution is made of
        names = [(name, number) for name in names for number in range(loss.width)]
    return _named((*kind, label.transform), names, "outputs")


def _stack(model: ModelSpec, stack: Stack, entering: Axis, leaving: Axis | None) -> dict[str, tuple[Axis, ...]]:
    """The parameters of layers that follow one another. leaving: what comes out of the last, if not hidden units."""
    found: dict[str, tuple[Axis, ...]] = {}
    for layer, after in _with_outputs(stack.layers, leaving):
        for part in layer_shapes(layer, model):
            found[f"{layer.name}.{part}"] = (entering, after) if part == "kernel" else (after,)
        entering = after
    return found


def _with_outputs(layers: Sequence[Layer], leaving: Axis | None) -> Iterator[tuple[Layer, Axis]]:
    for layer in layers:
        yield layer, (leaving if leaving is not None and layer is layers[-1] else _width(layer.outputs))


def _named(kind: Hashable, names: Sequence[Hashable], unit: str) -> Axis:
    return Axis(kind, len(names), names, unit)


def _width(units: int) -> Axis:
    """Hidden units, or the numbers of an embedding."""
    return Axis(("width", units), units)


def _ids(feature: CategoricalFeature) -> Axis:
    """The rows of a table without a vocabulary: buckets, or all values that a part of a time can have."""
    return Axis(("ids", feature.vocabulary), feature.vocabulary)
