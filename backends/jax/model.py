"""The Shared-Bottom network as a flax.nnx.Module, laid out as `backends.layout` says."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from backends import layout
from spec import random
from spec.model import LAYER_NORM_EPS, ModelSpec

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}


def unloaded(*shape: int) -> nnx.Param[Any]:
    """A parameter without storage: the trainer merges one in at each call, and so does `build`."""
    return nnx.Param(jax.ShapeDtypeStruct(shape, jnp.float32))


class LayerNorm(nnx.Module):
    """Layer norm over the last axis, with a scale and a bias of its own for each task of a tied head."""

    def __init__(self, dense: layout.Dense) -> None:
        self.scale = unloaded(*dense.heads, dense.outputs)
        self.bias = unloaded(*dense.heads, dense.outputs)

    def __call__(self, x: Float[Array, "*heads rows width"]) -> Float[Array, "*heads rows width"]:
        """Same shape."""
        x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + LAYER_NORM_EPS)
        return x * self.scale[..., None, :] + self.bias[..., None, :]


class Dense(nnx.Module):
    """Linear and, in a hidden layer, layer norm if asked, activation and dropout."""

    def __init__(self, dense: layout.Dense, model: ModelSpec) -> None:
        self.hidden, self.rate = dense.hidden, model.dropout
        self.kernel = unloaded(*dense.heads, dense.inputs, dense.outputs)
        self.bias = unloaded(*dense.heads, dense.outputs)
        self.norm = LayerNorm(dense) if dense.hidden and model.normalization == "layer" else jax.nn.identity
        self.activation = ACTIVATIONS[model.activation]
        self.heads, self.dropout_keys = dense.heads, dense.dropout_keys

    def __call__(
        self, x: Float[Array, "*heads rows inputs"], dropout_key: Int[Array, ""] | None
    ) -> Float[Array, "*heads rows outputs"]:
        """dropout_key: the step's key, or None to keep everything."""
        x = x @ self.kernel[...] + self.bias[..., None, :]
        if not self.hidden:
            return x
        x = self.activation(self.norm(x))
        return x if dropout_key is None or self.rate == 0 else self.dropout(x, dropout_key)

    def dropout(self, x: Float[Array, "*heads rows width"], key: Int[Array, ""]) -> Float[Array, "*heads rows width"]:
        """Zero the elements that the spec's hash drops, and scale the others by 1 / (1 - rate)."""
        layer = jnp.array(self.dropout_keys, jnp.uint32).reshape(*self.heads, 1, 1)
        element = jnp.arange(x.shape[-2] * x.shape[-1], dtype=jnp.uint32).reshape(x.shape[-2:])
        kept = random.keep(key, layer, element, self.rate)
        return jnp.where(kept, x / (1.0 - self.rate), 0.0)


class SharedBottom(nnx.Module):
    """The network. Its parameters are the layout's tensors."""

    def __init__(self, model: ModelSpec) -> None:
        self.layout = layout.layout_of(model)
        self.tables = nnx.List([unloaded(table.rows, table.dimension) for table in self.layout.tables])
        self.trunk = nnx.List([Dense(dense, model) for dense in self.layout.trunk])
        self.heads = nnx.List([nnx.List([Dense(dense, model) for dense in head.layers]) for head in self.layout.heads])

    def __call__(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
        *,
        dropout_key: Int[Array, ""] | None = None,
        by_task: bool = True,
    ) -> Any:
        """Logits by task (rows, outputs); or a list by head of the layout (tasks…, rows, outputs), to train on."""
        x = self.embed(numeric, categorical)
        for dense in self.trunk:
            x = dense(x, dropout_key)
        logits = []
        for head in self.heads:
            y = x
            for dense in head:
                y = dense(y, dropout_key)
            logits.append(y)
        return self.layout.by_task(logits) if by_task else logits

    def embed(
        self, numeric: Float[Array, "rows columns"] | None, categorical: Int[Array, "rows columns"] | None
    ) -> Float[Array, "rows width"]:
        """The trunk's input: the numeric columns, then every embedding in the spec's order."""
        columns: dict[int, Array] = {}
        for i, table in enumerate(self.layout.tables):
            assert categorical is not None
            ids = categorical[:, jnp.array(table.columns)] if len(self.layout.tables) > 1 else categorical
            embedded = self.tables[i][ids + jnp.array(table.offsets, jnp.int32)]  # (rows, columns, dimension)
            if len(self.layout.tables) == 1:
                columns[0] = embedded.reshape(len(embedded), -1)
            else:
                columns |= dict(zip(table.columns, jnp.unstack(embedded, axis=1), strict=True))
        parts = [columns[column] for column in sorted(columns)]
        parts = parts if numeric is None else [numeric, *parts]
        return jnp.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
