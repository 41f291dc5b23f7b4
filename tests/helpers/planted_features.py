"""Faults in the look-up of lists of ids, of shared tables and of frozen ones, and in the weights of a task's rows."""

from dataclasses import replace

import torch

from backends.jax import layers as jax_layers
from backends.jax import model as jax_model
from backends.torch import layers as torch_layers
from backends.torch import model as torch_model
from backends.torch import steps as torch_steps
from tests.helpers.faults import DATA, Fault
from tests.helpers.parity import LISTS
from tests.helpers.planted import other_layout


def pooling(layers, kind, change):
    """One backend pools in another way."""
    return lambda patch: patch.setitem(layers.POOLINGS, kind, change)


def mean_of_all_places(embedded, there):
    return (embedded * there).mean(1)


def padding_has_a_gradient(embedded, there):
    """The right sum; what stands where there is no id adds nothing, and gets the gradient of what does."""
    return torch.where(there, embedded, embedded - embedded.detach()).sum(1)


def other_tables(change):
    return lambda layout: replace(layout, tables=tuple(change(table) for table in layout.tables))


def shared_table_a_row_further(table):
    """The second feature of the shared table looks a row further than the first."""
    if "embeddings.word" not in table.parts:
        return table
    offsets, second = list(table.offsets), table.lookups[-1].columns
    offsets[second] = [offset + 1 for offset in offsets[second]]
    return replace(table, offsets=tuple(offsets))


def a_column_dropped(table):
    """A list is a column shorter than it is."""

    def shorter(lookup):
        return replace(lookup, columns=slice(lookup.columns.start, lookup.columns.stop - 1))

    return replace(table, lookups=tuple(shorter(x) if x.pooling == "mean" else x for x in table.lookups))


def torch_decays_frozen_tables(patch):
    original = torch_steps.train_step

    def step(network, step_spec, state, batch):
        result = original(network, step_spec, state, batch)
        for name in network.layout.frozen:
            batch[name].mul_(1.0 - 1e-3)
        return result

    patch.setattr(torch_steps, "train_step", step)


def task_weight_ignored(patch):
    return {"data": replace(DATA, task_weight={})}


def fault(side, step, plant):
    return Fault(side, step, plant, model={"categorical": LISTS})


FEATURE_FAULTS = {
    "a place without an id counted in the mean": fault("torch", 0, pooling(torch_layers, "mean", mean_of_all_places)),
    "the same in jax": fault("jax", 0, pooling(jax_layers, "mean", mean_of_all_places)),
    # Adam's first step goes by the sign of a gradient alone.
    "a place without an id has a gradient": fault("torch", 2, pooling(torch_layers, "sum", padding_has_a_gradient)),
    "a place without an id is a 0 in the maximum": fault(
        "torch", 0, pooling(torch_layers, "max", lambda embedded, there: (embedded * there).amax(1))
    ),
    "a column of a list dropped": fault("torch", 0, other_layout(torch_model, other_tables(a_column_dropped))),
    "a shared table looked up with another offset": fault(
        "jax", 0, other_layout(jax_model, other_tables(shared_table_a_row_further))
    ),
    "a frozen table decayed": fault("torch", 1, torch_decays_frozen_tables),
    "a task's weights of the rows ignored": Fault("torch", 0, task_weight_ignored, where="click"),
}
