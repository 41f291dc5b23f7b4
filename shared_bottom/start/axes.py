"""What the places along each axis of a parameter stand for: an input, a value, a class, a hidden unit.

Two networks' parameters of one name are compared by these meanings and not by their shapes: the row of a kernel belongs
to an input, wherever among the inputs it stands.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from shared_bottom.tables.columns import FittedColumns, identifier
from shared_bottom.tables.inherited import encodings
from shared_bottom.tables.values import canonical
from spec.model import CategoricalFeature, ModelSpec
from spec.network import Stack, heads, levels
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
    sources: tuple[Hashable, ...] = ()
    """Of what a level of experts gives: the kinds of the experts' outputs that it is made of."""


class Input(NamedTuple):
    """One of the numbers that the network takes."""

    column: str
    """The name of the numeric input, or of the categorical feature."""
    meaning: Hashable
    """All that decides what the number says: how its column is encoded, and which of its numbers it is."""


Axes = dict[str, tuple[Axis, ...]]
"""The axes of parameters, by name."""


def axes(columns: FittedColumns, model: ModelSpec) -> Axes:
    """The axes of each parameter. The last one is what it gives, and others of its layer come behind the kernel.

    columns: what the network's inputs and outputs are.
    model: the network, as `columns.model` makes it.
    """
    of_parameters: Axes = {}
    tables = vocabularies(columns)
    for feature in model.categorical:
        numbers = Axis(("embedding", feature.parameter, feature.dimension), feature.dimension)
        of_parameters[feature.parameter] = (tables.get(feature.parameter, _ids(feature)), numbers)
    entering = _named(INPUTS, inputs(columns, model), INPUTS)
    for number, level in enumerate(levels(model)):
        outputs_of_experts = []
        for stack in level.experts:
            of_stack, leaving = _stack(model, stack, entering)
            of_parameters |= of_stack
            outputs_of_experts.append(leaving.kind)
        for gate in level.gates:
            names = [outputs_of_experts[place] for place in gate.experts]
            of_parameters[f"{gate.layer.name}.kernel"] = (entering, _named(("gate", gate.layer.name), names, "experts"))
        kind = ("level", number, len(model.trunk), *_units(model, model.trunk[-1]))
        entering = Axis(kind, model.trunk[-1], sources=tuple(outputs_of_experts))
    for head in heads(model):
        assert head.task is not None
        of_parameters |= _stack(model, head, entering, outputs(columns, head.task))[0]
    return of_parameters


def inputs(columns: FittedColumns, model: ModelSpec) -> list[Input]:
    """What the network takes, in order: see `FittedColumns.model`."""
    numbers = []
    for name, encoding in encodings(columns.data).items():
        learnt = (columns.numeric[name], columns.quantiles.get(name), columns.bins.get(name))
        numbers += [Input(name, (encoding, learnt, place)) for place in range(columns.width(name))]
    numbers += [Input(name, "missing") for name in columns.indicators]
    hashed = {identifier(column.table_name): column.buckets for column in columns.data.categorical}
    for feature in model.categorical:
        pooling = feature.pooling if feature.length > 1 else None
        table = (feature.parameter, feature.dimension, feature.trainable, hashed.get(feature.table or feature.name))
        numbers += [Input(feature.name, (table, pooling, place)) for place in range(feature.dimension)]
    return numbers


def vocabularies(columns: FittedColumns) -> dict[str, Axis]:
    """The rows of each embedding table that has a vocabulary, by the parameter's name; None: that of unknown values.

    Of values that an earlier version told apart and this one does not, the first one counts.
    """
    return {
        f"embeddings.{identifier(table)}": _named(VALUES, [None, *map(canonical, values)], VALUES)
        for table, values in columns.vocabularies.items()
    }


def outputs(columns: FittedColumns, task: TaskSpec) -> Axis:
    """What comes out of a task's head: the number that it says of the label, in which unit, and of which class, label
    column or level.
    """
    label, loss = columns.data.labels[task.name], task.objective
    kind: tuple[Hashable, ...] = (task.name, task.kind, loss.link)
    names: list[Hashable]
    if task.traits.label == "class":
        return _named((*kind, label.columns), [*map(canonical, columns.classes[task.name])], "classes")
    if task.traits.label == "truth":
        positive = None if label.positive is None else canonical(label.positive)
        return _named((*kind, label.columns, positive, task.given), [task.name], "outputs")
    scales = columns.labels[task.name] if label.standardised(loss) else [None] * len(label.columns)
    names = list(zip(label.columns, scales, strict=True))
    if loss.quantiles:
        names = [(name, level) for name in names for level in loss.quantiles]
    elif loss.width > 1:  # the numbers that a distribution is made of
        names = [(name, number) for name in names for number in range(loss.width)]
    return _named((*kind, label.transform), names, "outputs")


def _stack(model: ModelSpec, stack: Stack, entering: Axis, leaving: Axis | None = None) -> tuple[Axes, Axis]:
    """The parameters of layers that follow one another, and what comes out of the last.

    leaving: that, if it is not hidden units.
    """
    of_parameters: Axes = {}
    for layer in stack.layers:
        after = Axis((layer.name, *_units(model, layer.outputs)), layer.outputs)
        if leaving is not None and layer is stack.layers[-1]:
            after = leaving
        for part in layer_shapes(layer, model):
            of_parameters[f"{layer.name}.{part}"] = (entering, after) if part == "kernel" else (after,)
        entering = after
    return of_parameters, entering


def _units(model: ModelSpec, width: int) -> tuple[Hashable, ...]:
    """What hidden units are like."""
    return width, model.activation, model.normalization


def _named(kind: Hashable, names: Sequence[Hashable], unit: str) -> Axis:
    return Axis(kind, len(names), names, unit)


def _ids(feature: CategoricalFeature) -> Axis:
    """The rows of a table without a vocabulary: buckets, or all values that a part of a time can have."""
    return Axis(("ids", feature.vocabulary), feature.vocabulary)
