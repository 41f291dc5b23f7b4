"""Parameters and Adam's slots to and from Flax's and optax's states, to go on in a hand-written loop, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from backends.jax.model import Network
from backends.jax.settings import scope
from backends.layout import check_slots, layout_of, native_arrays
from spec.model import ModelSpec
from spec.params import Params, frozen_zeros

SLOTS = {"mu": "mu", "nu": "nu"}
"""What optax calls them."""


def export_params(model: ModelSpec, params: Mapping[str, np.ndarray]) -> nnx.State[Any, Any]:
    """The state of the module that `build` returns. Raises ValueError for params that do not fit."""
    arrays = native_arrays(model, params)
    with scope(next(iter(arrays.values())).dtype, jax.devices()[0]):
        return nnx.state(Network(model).bind({name: jnp.array(array) for name, array in arrays.items()}))


def import_params(model: ModelSpec, state: nnx.State[Any, Any]) -> Params:
    """The inverse of `export_params`. Raises ValueError for a state of another network."""
    return layout_of(model).from_tensors(arrays_of(state))


def export_slots(
    model: ModelSpec, slots: Mapping[str, Mapping[str, np.ndarray]], step: int, state: optax.OptState
) -> optax.OptState:
    """The state of an Adam optimizer of the module's parameters, with these slots after `step` steps.

    state: what the `init` of an optax.adam or adamw, or of a chain with one, gave; what else counts steps there is set
    too. Raises ValueError if it is one of other parameters, or if the slots are another optimizer's or those of a run
    with `train.frozen`.
    """
    _adam(model, state)
    if slots.keys() != SLOTS.keys():
        raise ValueError(f"slots: expected {', '.join(SLOTS)}, got {', '.join(slots) or 'none'}")
    check_slots(model, slots)
    native = {SLOTS[slot]: nnx.filter_state(_slot(model, values), nnx.Param) for slot, values in slots.items()}
    return optax.tree_utils.tree_set(state, count=jnp.array(step, jnp.int32), **native)


def import_slots(model: ModelSpec, state: optax.OptState) -> tuple[dict[str, Params], int]:
    """The inverse of `export_slots`: slots and step. Raises ValueError for a state that is not such a one."""
    adam, layout = _adam(model, state), layout_of(model)
    slots = {
        slot: layout.from_tensors(arrays_of(getattr(adam, native)), frozen=False) for slot, native in SLOTS.items()
    }
    return slots, int(adam.count)


def _adam(model: ModelSpec, state: optax.OptState) -> optax.ScaleByAdamState:
    leaves = jax.tree.leaves(state, is_leaf=lambda part: isinstance(part, optax.ScaleByAdamState))
    states = [leaf for leaf in leaves if isinstance(leaf, optax.ScaleByAdamState)]
    if len(states) != 1:
        raise ValueError(f"state: expected that of one Adam optimizer, got {len(states)}")
    layout_of(model).from_tensors(arrays_of(states[0].mu), frozen=False)
    return states[0]


def _slot(model: ModelSpec, values: Mapping[str, np.ndarray]) -> nnx.State[Any, Any]:
    """An optimizer's slot as a state of the module, with zeros for what training does not move."""
    return export_params(model, {**values, **frozen_zeros(model, values)})


def arrays_of(state: nnx.State[Any, Any]) -> dict[str, np.ndarray]:
    """The native tensors by name."""
    return {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(state)}
