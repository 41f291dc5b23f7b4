"""The state of a run on its device, and what a step does to it: (state, batch) -> (state, losses)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends.layout import Layout
from backends.lazy import PARAMS
from backends.torch import optimizers
from backends.torch.balancing import Balance
from backends.torch.gradients import Batch
from backends.torch.optimizers import Slots
from spec.optimizers import Optimizer

Tables = dict[str, Float[Tensor, "rows dimension"]]
"""Lazily updated embedding tables by their tensors' names, and behind the rows of each some more that stand for none:
their values, or an optimizer's slot for them."""


class TrainState(NamedTuple):
    """All that a step changes."""

    params: Float[Tensor, " parameters"]
    slots: Slots
    balance: Balance
    tables: dict[str, Tables]
    """By PARAMS and the names of the optimizer's slots."""


Losses = Float[Tensor, " losses"]
"""The total loss, then each task's in the layout's order; then, where they move, the factors that the tasks counted by.
"""
Step = Callable[[TrainState, Batch], tuple[TrainState, Losses]]
Run = Callable[[TrainState, Batch, Batch], tuple[TrainState, Losses]]


def vectors(state: TrainState) -> dict[str, Float[Tensor, " parameters"]]:
    """The parameters, and the optimizer's slots by their names."""
    return {PARAMS: state.params, **state.slots}


def with_vectors(state: TrainState, vectors: Mapping[str, Float[Tensor, " parameters"]]) -> TrainState:
    """The state with other parameters and slots."""
    slots = {name: vector for name, vector in vectors.items() if name != PARAMS}
    return state._replace(params=vectors[PARAMS], slots=slots)


def start_tables(
    optimizer: Optimizer, tables: Mapping[str, Mapping[str, np.ndarray]], layout: Layout, device: torch.device
) -> dict[str, Tables]:
    """The lazily updated tables, and the optimizer's slots for them, which it starts where none are given."""
    whole = {name: with_room(layout, tables.get(name, {}), device) for name in (PARAMS, *optimizer.slots)}
    for name, table in whole[PARAMS].items():
        if any(name not in whole[slot] for slot in optimizer.slots):
            start = optimizers.init(optimizer, table)
            for slot in optimizer.slots:
                whole[slot][name] = start[slot]
    return whole


def with_room(layout: Layout, tables: Mapping[str, np.ndarray], device: torch.device) -> Tables:
    """Whole tables on the device, with room for the rows that stand for none."""
    roomy = {}
    for name, array in tables.items():
        rows, dimension = array.shape
        given = torch.from_numpy(array)
        room = layout.tensors[name].shape[0]
        roomy[name] = given.new_zeros(rows + room, dimension, device=device)
        roomy[name][:rows] = given
    return roomy
