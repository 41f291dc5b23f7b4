"""The rows of lazily updated embedding tables on their way into a step and back: see `backends.lazy`."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from backends.layout import Layout
from backends.lazy import TOUCHED
from backends.torch.gradients import Batch
from backends.torch.state import Losses, Run, Step, Tables, TrainState, vectors, with_vectors

SCANNED_ROWS = 2**11
"""Rows of tables that one scan carries, unless a single step names more. It copies them at each step: with many more,
that takes longer than the steps; with many fewer, the scans are too short to save anything.
"""


def lazy_step(
    layout: Layout, step: Step, state: TrainState, batch: Batch, *, in_place: bool = True
) -> tuple[TrainState, Losses]:
    """The step, on the rows of the lazily updated tables that its batch names. in_place: see `scatter`."""
    gathered = {name: gather(layout, state.tables[name], vector, batch) for name, vector in vectors(state).items()}
    moved, losses = step(with_vectors(state, gathered), batch)
    tables = {
        name: scatter(layout, state.tables[name], vector, batch, in_place=in_place)
        for name, vector in vectors(moved).items()
    }
    return moved._replace(tables=tables), losses


def gather(
    layout: Layout, tables: Tables, vector: Float[Tensor, " parameters"], batch: Batch
) -> Float[Tensor, " parameters"]:
    """The vector, with the rows of the tables that the batch names at its front."""
    rows = torch.cat([tables[name].index_select(0, batch[TOUCHED + name]).flatten() for name in layout.lazy])
    if torch.compiler.is_dynamo_compiling():
        return torch.cat([rows, vector[layout.lazy_size :]])
    vector[: layout.lazy_size] = rows  # in place: the network is bound to the vector of the parameters
    return vector


def scatter(
    layout: Layout, tables: Tables, vector: Float[Tensor, " parameters"], batch: Batch, *, in_place: bool
) -> Tables:
    """The tables, with these rows as they are at the vector's front now. in_place: write to them; else to new ones."""
    rows, write = layout.to_tensors(vector), Tensor.index_copy_ if in_place else Tensor.index_copy
    return {name: write(tables[name], 0, batch[TOUCHED + name].long(), rows[name]) for name in layout.lazy}


def scan_few_steps(
    layout: Layout, scan: Run, state: TrainState, batches: Batch, constants: Batch
) -> tuple[TrainState, Float[Tensor, "steps losses"]]:
    """All steps of a call, in several scans. A scan copies what it carries at each step: of the tables, these are only
    the rows that a few steps name.
    """
    losses = []
    for few in few_steps(layout, batches):
        rows, renumbered = distinct_rows(layout, few)
        small = {name: take(layout, tables, rows) for name, tables in state.tables.items()}
        moved, loss = scan(state._replace(tables=small), renumbered, constants)
        for name, tables in moved.tables.items():
            put(state.tables[name], rows, tables)
        state = moved._replace(tables=state.tables)
        losses.append(loss)
    return state, torch.cat(losses)


def few_steps(layout: Layout, batches: Batch) -> Iterator[dict[str, Tensor]]:
    """The batches of so many steps at a time as one scan takes."""
    parts = {name: array.split(steps_of_scan(layout)) for name, array in batches.items()}
    for few in zip(*parts.values(), strict=True):
        yield dict(zip(parts, few, strict=True))


def steps_of_scan(layout: Layout) -> int:
    """How many steps one scan takes at most."""
    return max(1, SCANNED_ROWS // layout.lazy_rows)


def distinct_rows(layout: Layout, batches: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The rows of each table that these steps name; and their batches, which name them by their places among these."""
    rows, renumbered = {}, dict(batches)
    for name in layout.lazy:
        rows[name], renumbered[TOUCHED + name] = torch.unique(batches[TOUCHED + name], return_inverse=True)
    return rows, renumbered


def take(layout: Layout, tables: Tables, rows: Mapping[str, Tensor]) -> Tables:
    """Tables of these rows, which have one shape for all scans."""
    small = {}
    for name, table in tables.items():
        size = min(len(table), steps_of_scan(layout) * layout.tensors[name].shape[0])
        small[name] = table.new_zeros(size, table.shape[1])
        torch.index_select(table, 0, rows[name], out=small[name][: len(rows[name])])
    return small


def put(tables: Tables, rows: Mapping[str, Tensor], small: Tables) -> None:
    """Write these rows back."""
    for name, table in tables.items():
        table.index_copy_(0, rows[name].long(), small[name][: len(rows[name])])
