"""The rows of lazily updated embedding tables on their way into a step and back: see `backends.lazy`."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from backends.jax.gradients import Batch
from backends.jax.state import Losses, Step, Tables, TrainState, vectors, with_vectors
from backends.layout import Layout
from backends.lazy import TOUCHED


def lazy_step(layout: Layout, step: Step, state: TrainState, batch: Batch) -> tuple[TrainState, Losses]:
    """The step, on the rows of the lazily updated tables that its batch names."""
    gathered = {name: gather(layout, state.tables[name], vector, batch) for name, vector in vectors(state).items()}
    moved, losses = step(with_vectors(state, gathered), batch)
    tables = {name: scatter(layout, state.tables[name], vector, batch) for name, vector in vectors(moved).items()}
    return moved._replace(tables=tables), losses


def gather(
    layout: Layout, tables: Tables, vector: Float[Array, " parameters"], batch: Batch
) -> Float[Array, " parameters"]:
    """The vector, with the rows of the tables that the batch names at its front."""
    rows = [
        tables[name].at[batch[TOUCHED + name]].get(mode="fill", fill_value=0, indices_are_sorted=True).ravel()
        for name in layout.lazy
    ]
    return jnp.concatenate([*rows, vector[layout.lazy_size :]])


def scatter(layout: Layout, tables: Tables, vector: Float[Array, " parameters"], batch: Batch) -> Tables:
    """The tables, with these rows as they are at the vector's front now. Compiled, it writes them in place."""
    rows = layout.to_tensors(vector)
    return {
        name: tables[name]
        .at[batch[TOUCHED + name]]
        .set(rows[name], mode="drop", indices_are_sorted=True, unique_indices=True)
        for name in layout.lazy
    }
