"""The network's layers as flax.nnx.Modules: dense, layer norm, dropout, embedding. Tied ones have a leading axis."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from backends import stacks
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


class Embedding(nnx.Module):
    """Embedding tables of one dimension, looked up in one gather."""

    def __init__(self, table: stacks.Table, model: ModelSpec) -> None:
        self.columns = table.columns
        self.alone = len(self.columns) == len(model.categorical)
        self.embedding = unloaded(table.rows, table.dimension)
        self.offsets = table.offsets

    def __call__(self, categorical: Int[Array, "rows features"]) -> dict[int, Float[Array, "rows width"]]:
        """The embeddings of the columns that look here, by column; side by side under 0 if all columns do."""
        ids = categorical if self.alone else categorical[:, jnp.array(self.columns)]
        embedded = self.embedding[ids + jnp.array(self.offsets, jnp.int32)]  # (rows, columns, dimension)
        if self.alone:
            return {0: embedded.reshape(len(embedded), -1)}
        return dict(zip(self.columns, jnp.unstack(embedded, axis=1), strict=True))


class LayerNorm(nnx.Module):
    """Layer norm over the last axis, with a scale and a bias for each member of a tied layer."""

    def __init__(self, dense: stacks.Dense) -> None:
        self.scale = unloaded(*dense.shapes["norm.scale"])
        self.bias = unloaded(*dense.shapes["norm.bias"])

    def __call__(self, x: Float[Array, "*members rows width"]) -> Float[Array, "*members rows width"]:
        """Same shape."""
        x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + LAYER_NORM_EPS)
        return x * self.scale[..., None, :] + self.bias[..., None, :]


class Dropout(nnx.Module):
    """Zeroes the elements that the spec's hash drops, and scales the others by 1 / (1 - rate)."""

    def __init__(self, dense: stacks.Dense, rate: float) -> None:
        self.rate = rate
        self.members, self.keys = dense.members, dense.dropout_keys

    def __call__(
        self, x: Float[Array, "*members rows width"], step_key: Int[Array, ""] | None
    ) -> Float[Array, "*members rows width"]:
        """step_key: that of the training step, or None to keep everything."""
        if step_key is None or self.rate == 0:
            return x
        keys = jnp.array(self.keys, jnp.uint32).reshape(*self.members, 1, 1)
        element = jnp.arange(x.shape[-2] * x.shape[-1], dtype=jnp.uint32).reshape(x.shape[-2:])
        kept = random.keep(step_key, keys, element, self.rate)
        return jnp.where(kept, x / (1.0 - self.rate), 0.0)


class Dense(nnx.Module):
    """Linear and, in a hidden layer, layer norm if asked, activation and dropout."""

    def __init__(self, dense: stacks.Dense, model: ModelSpec) -> None:
        self.hidden = dense.hidden
        self.kernel = unloaded(*dense.shapes["kernel"])
        self.bias = unloaded(*dense.shapes["bias"])
        self.norm = LayerNorm(dense) if "norm.scale" in dense.shapes else jax.nn.identity
        self.activation = ACTIVATIONS[model.activation]
        self.dropout = Dropout(dense, model.dropout)

    def __call__(
        self, x: Float[Array, "*members rows inputs"], step_key: Int[Array, ""] | None
    ) -> Float[Array, "*members rows outputs"]:
        """step_key: see `Dropout`."""
        x = x @ self.kernel[...] + self.bias[..., None, :]
        return self.dropout(self.activation(self.norm(x)), step_key) if self.hidden else x


def through(
    stack: Iterable[Dense], x: Float[Array, "*members rows inputs"], step_key: Int[Array, ""] | None
) -> Float[Array, "*members rows outputs"]:
    """The output of layers that follow one another."""
    for dense in stack:
        x = dense(x, step_key)
    return x
