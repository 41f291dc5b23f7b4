"""Takes over an earlier run's parameters, place by place, into the ones that a new run would start from."""

from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, cast

import numpy as np

from shared_bottom.start.axes import INPUTS, Axis, Input, axes
from shared_bottom.tables.columns import FittedColumns, identifier
from spec.model import ModelSpec
from spec.params import Params

State = Literal["taken over", "grown", "started anew", "given", "left out"]
Places = list[np.ndarray]
"""Of each axis of a parameter, the numbers of some places."""


class Network(Protocol):
    """What an earlier run has trained, such as a `shared_bottom.Trained`."""

    @property
    def columns(self) -> FittedColumns:
        """Its table's columns."""

    @property
    def model(self) -> ModelSpec:
        """The network."""

    @property
    def params(self) -> Params:
        """Its parameters."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What became of an embedding table, or of a layer's kernel."""

    name: str
    """The parameter's name; without .kernel."""
    state: State
    """grown: some places are taken over, and some are new. started anew: none is taken over. given: a file has them."""
    taken: Mapping[str, int]
    """How many places are taken over, by what they are: values, inputs, classes, outputs, experts. Hidden units are
    taken over all or not at all, and are not counted."""
    new: Mapping[str, int]
    """How many are new, and start as in any new run."""
    left_out: Mapping[str, int]
    """How many the earlier run has that this one has not."""


class Start(NamedTuple):
    """What a run starts from."""

    params: Params
    parts: tuple[Part, ...]
    """What became of each table and kernel, in network order; those that are left out come last."""
    new_inputs: tuple[str, ...]
    """The columns of which some input is new."""
    left_out_inputs: tuple[str, ...]
    """The columns of the earlier run of which some input is left out."""


def take_over(
    earlier: Network,
    columns: FittedColumns,
    model: ModelSpec,
    params: Params,
    given: Mapping[str, Sequence[str]],
) -> Start:
    """Start a run from an earlier one's parameters.

    earlier: the earlier run.
    columns: the new run's columns, learnt with those of the earlier run.
    model: its network, with the columns as its inputs.
    params: the parameters that it would start from without an earlier run: see
    `shared_bottom.tables.embeddings.starting_params`. They are changed in place.
    given: by embedding table, the values whose embeddings a file gives. They stay as the file has them.

    Of each parameter that both have, the places that stand for the same are taken over: see `shared_bottom.start.axes`.
    The row of a kernel, say, is that of the same number of a column that is encoded as it was. A layer of which nothing
    is taken over gives something else than it did, so that what reads it starts anew as well. Whatever is not taken
    over stays as it is in `params`. The optimizer starts anew.
    """
    before, now = axes(earlier.columns, earlier.model), axes(columns, model)
    fixed = {feature.parameter for feature in model.categorical if not feature.trainable}
    by_file = {f"embeddings.{identifier(table)}": set(values) for table, values in given.items()}
    parts: list[Part] = []
    anew: set[Hashable] = set()
    """The kinds of axes that mean something else than before; a gate's place for an expert has such a kind as name."""
    for name, new in now.items():
        old, matched = before.get(name, ()), None
        if old and name not in fixed and not any(_is_anew(axis, anew) for axis in new):
            matched = _matched(old, tuple(_without(axis, anew | by_file.get(name, set())) for axis in new))
        if matched is None:
            anew.add(new[-1].kind)
        else:
            taken_from, taken_to = matched
            params[name][np.ix_(*taken_to)] = earlier.params[name][np.ix_(*taken_from)]
        if len(new) > 1:
            parts.append(_part(name, old, new, matched, given=name in fixed))
    parts += [
        Part(name=_layer(name), state="left out", taken={}, new={}, left_out=_sizes(old))
        for name, old in before.items()
        if name not in now and len(old) > 1
    ]
    earlier_inputs, inputs = _inputs(before), _inputs(now)
    return Start(params, tuple(parts), _columns(inputs, earlier_inputs), _columns(earlier_inputs, inputs))


def _is_anew(axis: Axis, anew: Container[Hashable]) -> bool:
    """Whether an axis means something else than before; what a level gives does if all of its experts do."""
    return axis.kind in anew or (bool(axis.sources) and all(kind in anew for kind in axis.sources))


def _matched(old: tuple[Axis, ...], new: tuple[Axis, ...]) -> tuple[Places, Places] | None:
    """The places of an earlier parameter that are taken over, and where to; None if there are none."""
    if len(old) != len(new):
        return None
    pairs = [_common(before, now) for before, now in zip(old, new, strict=True)]
    if not all(len(places) for places, _ in pairs):
        return None
    return [places for places, _ in pairs], [places for _, places in pairs]


def _common(old: Axis, new: Axis) -> tuple[np.ndarray, np.ndarray]:
    """The places of two axes that stand for the same, in the order of the new one."""
    if old.kind != new.kind:
        return np.arange(0), np.arange(0)
    if old.names is None or new.names is None:
        return np.arange(old.size), np.arange(new.size)
    places: dict[Hashable, int] = {}
    for place, name in enumerate(old.names):
        places.setdefault(name, place)
    from_old = np.array([places.get(name, -1) for name in new.names])
    return from_old[from_old >= 0], np.flatnonzero(from_old >= 0)


def _without(axis: Axis, names: Container[Hashable]) -> Axis:
    """The axis, in which the places of these names match none."""
    if axis.names is None:
        return axis
    return axis._replace(names=[("new", name) if name in names else name for name in axis.names])


def _part(
    name: str, old: tuple[Axis, ...], new: tuple[Axis, ...], matched: tuple[Places, Places] | None, given: bool
) -> Part:
    if matched is None:
        state: State = "given" if given else "started anew"
        return Part(name=_layer(name), state=state, taken={}, new=_sizes(new), left_out={})
    taken, more, left_out = {}, {}, {}
    for before, now, places in zip(old, new, matched[1], strict=True):
        if before.names is not None and now.names is not None:
            taken[now.unit] = sum(now.names[place] is not None for place in places)
            more[now.unit] = _size(now.names) - taken[now.unit]
            left_out[now.unit] = len({*before.names} - {*now.names})
    grown = any(more.values())
    return Part(name=_layer(name), state="grown" if grown else "taken over", taken=taken, new=more, left_out=left_out)


def _layer(name: str) -> str:
    """What a part is called."""
    return name.removesuffix(".kernel")


def _sizes(axes: tuple[Axis, ...]) -> dict[str, int]:
    return {axis.unit: _size(axis.names) for axis in axes if axis.names is not None}


def _size(names: Sequence[Hashable]) -> int:
    """How many places have a name; the row of unknown values is none."""
    return len(names) - sum(name is None for name in names)


def _inputs(axes: Mapping[str, tuple[Axis, ...]]) -> Sequence[Input]:
    """What the network takes, as the kernels of its first layers have it."""
    names = (axis.names for of_parameter in axes.values() for axis in of_parameter if axis.kind == INPUTS)
    return cast(Sequence[Input], next(names))


def _columns(inputs: Sequence[Input], others: Sequence[Input]) -> tuple[str, ...]:
    """The columns of inputs that are not among the others."""
    known = set(others)
    return tuple(dict.fromkeys(one.column for one in inputs if one not in known))
