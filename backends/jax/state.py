"""The state of a run on its device, and what a step does to it: (state, batch) -> (state, losses)."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import optax
from jax import Array
from jaxtyping import Float

from backends.jax import optimizers
from backends.jax.balancing import Balance
from backends.jax.gradients import Batch
from backends.lazy import PARAMS
from spec.optimizers import Optimizer

Tables = dict[str, Float[Array, "rows dimension"]]
"""Lazily updated embedding tables by their tensors' names: their values, or an optimizer's slot for them."""


class TrainState(NamedTuple):
    """All that a step changes."""

    params: Float[Array, " parameters"]
    optimizer: optax.OptState
    balance: Balance
    tables: dict[str, Tables]
    """By PARAMS and the names of the optimizer's slots."""


Losses = Float[Array, " losses"]
"""The total loss, then each task's in the layout's order; then, where they move, the factors that the tasks counted by.
"""
Step = Callable[[TrainState, Batch], tuple[TrainState, Losses]]
Run = Callable[[TrainState, Batch, Batch], tuple[TrainState, Losses]]


def vectors(state: TrainState) -> dict[str, Float[Array, " parameters"]]:
    """The parameters, and the optimizer's slots by their names."""
    slots = {name: optax.tree_utils.tree_get(state.optimizer, name) for name in state.tables if name != PARAMS}
    return {PARAMS: state.params} | slots


def with_vectors(state: TrainState, vectors: Mapping[str, Float[Array, " parameters"]]) -> TrainState:
    """The state with other parameters and slots."""
    slots = {name: vector for name, vector in vectors.items() if name != PARAMS}
    return state._replace(params=vectors[PARAMS], optimizer=optax.tree_utils.tree_set(state.optimizer, **slots))


def start_tables(optimizer: Optimizer, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Tables]:
    """The lazily updated tables, and the optimizer's slots for them, which it starts where none are given."""
    whole: dict[str, Tables] = {name: dict(tables.get(name, {})) for name in (PARAMS, *optimizer.slots)}
    for name, table in whole[PARAMS].items():
        if any(name not in whole[slot] for slot in optimizer.slots):
            start = optimizers.init(optimizer, table)
            for slot in optimizer.slots:
                whole[slot][name] = optax.tree_utils.tree_get(start, slot)
    return whole
