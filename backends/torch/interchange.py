"""Parameters and Adam's slots to and from PyTorch's state_dicts, to go on in a hand-written loop, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backends.layout import check_slots, layout_of, native_arrays
from spec.model import ModelSpec
from spec.params import Params, frozen_zeros

SLOTS = {"mu": "exp_avg", "nu": "exp_avg_sq"}
"""What torch.optim calls them."""


def export_params(model: ModelSpec, params: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The state_dict of the module that `build` returns, on the CPU. Raises ValueError for params that do not fit."""
    return {name: torch.tensor(array) for name, array in native_arrays(model, params).items()}


def import_params(model: ModelSpec, state: Mapping[str, Tensor]) -> Params:
    """The inverse of `export_params`. Raises ValueError for a state of another network."""
    return layout_of(model).from_tensors(arrays_of(state))


def export_slots(
    model: ModelSpec, slots: Mapping[str, Mapping[str, np.ndarray]], step: int, state: Mapping[str, Any]
) -> dict[str, Any]:
    """The state of an Adam optimizer of the module's parameters, with these slots after `step` steps.

    state: the state_dict of the torch.optim.Adam or AdamW; its hyperparameters stay. Raises ValueError if it is one of
    another number of parameters, or of other shapes where it has made a step and so has any; if it has amsgrad, which
    needs a third slot; or if the slots are another optimizer's, or those of a run with `train.frozen`.
    """
    _check(model, state)
    if slots.keys() != SLOTS.keys():
        raise ValueError(f"slots: expected {', '.join(SLOTS)}, got {', '.join(slots) or 'none'}")
    check_slots(model, slots)
    layout = layout_of(model)
    native = {
        SLOTS[slot]: export_params(model, {**values, **frozen_zeros(model, values)}) for slot, values in slots.items()
    }
    by_index = {
        index: {"step": torch.tensor(float(step))} | {slot: tensors[name] for slot, tensors in native.items()}
        for index, name in enumerate(layout.native)
        if name in layout.tensors
    }
    return {**state, "state": by_index}


def import_slots(model: ModelSpec, state: Mapping[str, Any]) -> tuple[dict[str, Params], int]:
    """The inverse of `export_slots`: slots and step. Raises ValueError for a state that has not yet made a step."""
    _check(model, state)
    by_index, layout = state["state"], layout_of(model)
    places = {name: index for index, name in enumerate(layout.native) if name in layout.tensors}
    if any(slot not in by_index.get(index, {}) for index in places.values() for slot in SLOTS.values()):
        raise ValueError("state: expected that of an Adam optimizer after a step, got another")
    slots = {}
    for slot, native in SLOTS.items():
        tensors = {name: by_index[index][native].numpy(force=True) for name, index in places.items()}
        slots[slot] = layout.from_tensors(tensors, frozen=False)
    return slots, int(by_index[max(places.values())]["step"])


def _check(model: ModelSpec, state: Mapping[str, Any]) -> None:
    layout = layout_of(model)
    indices = [index for group in state["param_groups"] for index in group["params"]]
    expected = list(range(len(layout.native)))
    if indices != expected:
        raise ValueError(
            f"state: expected an optimizer of the network's {len(expected)} parameters in order, got {len(indices)}"
        )
    if any(group.get("amsgrad") for group in state["param_groups"]):
        raise ValueError("state: expected an optimizer with amsgrad=False, got amsgrad=True")
    for index, (name, tensor) in enumerate(layout.native.items()):
        entry, shape = state["state"].get(index, {}), tensor.shape
        for slot in SLOTS.values():
            if slot in entry and tuple(entry[slot].shape) != shape:
                raise ValueError(
                    f"state[{index}].{slot}: expected shape {shape} of {name}, got {tuple(entry[slot].shape)}"
                )


def arrays_of(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The native tensors by name. Raises ValueError for a type that NumPy does not have."""
    arrays: dict[str, np.ndarray] = {}
    for name, tensor in state.items():
        try:
            arrays[name] = tensor.numpy(force=True)
        except TypeError as error:
            raise ValueError(f"state[{name!r}]: expected float32 or float64, got {tensor.dtype}") from error
    return arrays
