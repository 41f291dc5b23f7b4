"""Where the spec's parameters lie in a backend's vector, and what follows from it: see `backends.layout`."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from spec.model import ModelSpec
from spec.params import parameter_shapes
from spec.tasks import TaskSpec


@dataclass(frozen=True)
class Tensor:
    """A native parameter: its shape, and the spec's parameters that it ties together."""

    shape: tuple[int, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class PlacedTensor(Tensor):
    """One that training moves, and its place in the flat vector."""

    start: int
    stop: int


def divided(native: Mapping[str, Tensor], frozen: Collection[str]) -> tuple[dict[str, PlacedTensor], dict[str, Tensor]]:
    """What training moves of these tensors, one after the other, and what it does not. A tensor of which it moves some
    members is in both, with these and with the others.

    frozen: the spec's parameters that it does not move.
    """
    placed: dict[str, PlacedTensor] = {}
    others: dict[str, Tensor] = {}
    start = 0
    for name, tensor in native.items():
        moved, unmoved = (tuple(p for p in tensor.parts if (p in frozen) is still) for still in (False, True))
        if moved:
            shape = (len(moved), *tensor.shape[1:]) if unmoved else tensor.shape
            placed[name] = PlacedTensor(shape, moved, start, start + math.prod(shape))
            start = placed[name].stop
        if unmoved:
            others[name] = Tensor((len(unmoved), *tensor.shape[1:]) if moved else tensor.shape, unmoved)
    return placed, others


def places_of(
    model: ModelSpec, tensors: Mapping[str, PlacedTensor], lazy: Mapping[str, Tensor]
) -> Iterator[tuple[str, slice]]:
    """The spec's parameters in the vector's order. The rows of a lazily updated table stand for its first one."""
    shapes = parameter_shapes(model)
    for name, tensor in tensors.items():
        start = tensor.start
        for part in tensor.parts:
            stop = tensor.stop if name in lazy else start + math.prod(shapes[part])
            yield part, slice(start, stop)
            start = stop


def pieces_of(places: Sequence[tuple[str, slice]], shared: Collection[str]) -> tuple[tuple[slice, bool], ...]:
    """Neighbours that are all among `shared`, or all not, as one."""
    grouped = groupby(places, key=lambda place: place[0] in shared)
    return tuple((span(place for _, place in group), several) for several, group in grouped)


def span(places: Iterable[slice]) -> slice:
    """From the first to the last, which follow one another without a gap."""
    listed = list(places) or [slice(0, 0)]
    return slice(listed[0].start, listed[-1].stop)


def places_among(names: Sequence[str], tasks: Sequence[TaskSpec]) -> slice | list[int]:
    """Where the tasks are among all by name."""
    places = [names.index(task.name) for task in tasks]
    first, last = places[0], places[-1]
    return slice(first, last + 1) if places == list(range(first, last + 1)) else places
