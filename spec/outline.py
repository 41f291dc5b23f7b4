"""The network in words and as a table, for a reader."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from spec.losses import Loss
from spec.model import ModelSpec, NetworkSpec
from spec.network import Layer, heads, levels
from spec.params import frozen_parameters, layer_shapes
from spec.sharing import Sharing
from spec.tasks import TaskSpec


class Row(NamedTuple):
    """An embedding table, a linear layer, or the layers in the same place of several experts that are alike."""

    name: str
    """Of the first to the last expert, such as experts.0…7.1."""
    shape: str
    parameters: int
    """Biases and norms included."""
    layers: tuple[str, ...]
    """The names of the linear layers; () for an embedding table."""


def outline(model: ModelSpec, frozen: Sequence[str] = ()) -> list[Row]:
    """The network from its inputs to the heads. Experts are alike that are of one level and of one task, or of all.

    frozen: see `TrainSpec.frozen`. The shape says if training moves nothing of a row, or not all.
    """
    rows, still = [], set(frozen_parameters(model, frozen))
    for feature in {feature.parameter: feature for feature in model.categorical}.values():
        shape_of_table = f"{feature.vocabulary:,} × {feature.dimension}" + _frozen({feature.parameter}, still)
        rows.append(Row(feature.parameter, shape_of_table, feature.vocabulary * feature.dimension, ()))
    for name, layers in _alike(model):
        many = f"{len(layers)} of " if len(layers) > 1 else ""
        names = tuple(layer.name for layer in layers)
        parameters = {f"{layer.name}.{part}" for layer in layers for part in layer_shapes(layer, model)}
        shape_of_layer = f"{many}{layers[0].inputs:,} × {layers[0].outputs:,}" + _frozen(parameters, still)
        count = sum(math.prod(shape) for layer in layers for shape in layer_shapes(layer, model).values())
        rows.append(Row(name, shape_of_layer, count, names))
    return rows


def _frozen(parameters: set[str], still: set[str]) -> str:
    """What a shape has behind it. still: all parameters that training does not move."""
    return ", frozen" if parameters <= still else ", partly frozen" if parameters & still else ""


def _alike(model: ModelSpec) -> Iterator[tuple[str, Sequence[Layer]]]:
    for level in levels(model):
        shared_first = sorted(level.experts, key=lambda expert: expert.task is not None)
        for _, group in groupby(shared_first, key=lambda expert: expert.task):
            first, *others = group
            name = first.name + "".join(f"…{expert.name.rpartition('.')[2]}" for expert in others[-1:])
            for place, layer in enumerate(first.layers):
                yield f"{name}.{place}", [layer, *(expert.layers[place] for expert in others)]
        yield from ((gate.layer.name, [gate.layer]) for gate in level.gates)
    yield from ((layer.name, [layer]) for head in heads(model) for layer in head.layers)


def sharing_words(network: NetworkSpec) -> str:
    """The way of sharing with its options and the widths of the trunk, such as "mmoe (experts 8), trunk 64-32"."""
    return f"{_with_options(network.sharing)}, trunk {'-'.join(map(str, network.trunk))}"


def task_words(task: TaskSpec) -> str:
    """The kind of a task, what it is given, and its loss with its options if it is another than the kind's."""
    given = f" given {task.given}" if task.given else ""
    usual = task.objective == task.traits.losses[0]
    return f"{task.kind}{given}" + ("" if usual else f", loss {_with_options(task.objective)}")


def _with_options(chosen: Sharing | Loss) -> str:
    options = [
        f"{field.name} {getattr(chosen, field.name)}" for field in dataclasses.fields(chosen) if field.name != "kind"
    ]
    return chosen.kind + (f" ({', '.join(options)})" if options else "")
