"""The network's layers as flax.nnx.Modules: dense, layer norm, dropout, embedding. Tied ones have a leading axis."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from backends import stacks
from backends.jax.processes import first_row
from spec import random
from spec.model import LAYER_NORM_EPS, ModelSpec, Pooling
from spec.training import WHOLE, Part

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}
SMALL = 2**16
"""Numbers of a layer's input, at most, whose transpose costs less to make in memory than it saves: see `transposed`."""


class Frozen(nnx.Variable[Any]):
    """A parameter that training does not move. It is no nnx.Param, which is what Flax's users train."""


def unloaded(*shape: int, trainable: bool = True) -> nnx.Variable[Any]:
    """A parameter without storage: the trainer merges one in at each call, and so does `build`."""
    return (nnx.Param if trainable else Frozen)(jax.ShapeDtypeStruct(shape, jnp.float32))


class Embedding(nnx.Module):
    """Embedding tables of one dimension, looked up in one gather."""

    def __init__(self, table: stacks.EmbeddingTable, model: ModelSpec) -> None:
        self.lookups, self.pooled = table.lookups, table.pooled
        self.columns = table.columns
        self.serves_all = len(self.lookups) == len(model.categorical)
        self.embedding = unloaded(table.rows, table.dimension, trainable=table.trainable)
        self.offsets = table.offsets

    def __call__(self, categorical: Int[Array, "rows columns"]) -> dict[int, Float[Array, "rows width"]]:
        """The embeddings of the features that look here, by feature; if all do, side by side under the first."""
        ids = categorical if self.serves_all else categorical[:, jnp.array(self.columns)]
        offsets = jnp.array(self.offsets, jnp.int32)
        if self.pooled:
            there = ids >= 0
            embedded = self.embedding[jnp.where(there, ids + offsets, 0)]
            parts = [pool(embedded, there[..., None], lookup) for lookup in self.lookups]
        else:
            embedded = self.embedding[ids + offsets]  # (rows, columns, dimension)
            if self.serves_all:
                return {0: embedded.reshape(embedded.shape[0], -1)}
            parts = list(jnp.unstack(embedded, axis=1))
        return {lookup.feature: part for lookup, part in zip(self.lookups, parts, strict=True)}


def pool(
    embedded: Float[Array, "rows columns dimension"], there: Bool[Array, "rows columns 1"], lookup: stacks.Lookup
) -> Float[Array, "rows dimension"]:
    """A feature's embedding: that of its id, or of those of its ids that are there. Others get no gradient."""
    embedded, there = embedded[:, lookup.columns], there[:, lookup.columns]
    return embedded.squeeze(1) if lookup.pooling is None else POOLINGS[lookup.pooling](embedded, there)


def pool_sum(
    embedded: Float[Array, "rows ids dimension"], there: Bool[Array, "rows ids 1"]
) -> Float[Array, "rows dimension"]:
    """Their sum; 0 of none."""
    return jnp.where(there, embedded, 0.0).sum(1)


def pool_mean(
    embedded: Float[Array, "rows ids dimension"], there: Bool[Array, "rows ids 1"]
) -> Float[Array, "rows dimension"]:
    """Their mean; 0 of none."""
    return pool_sum(embedded, there) / jnp.maximum(there.sum(1), 1)


def pool_max(
    embedded: Float[Array, "rows ids dimension"], there: Bool[Array, "rows ids 1"]
) -> Float[Array, "rows dimension"]:
    """The largest of each element; 0 of none. Equal ones share the gradient evenly."""
    largest = jnp.where(there, embedded, -jnp.inf).max(1)
    return jnp.where(there.any(1), largest, 0.0)


POOLINGS: dict[Pooling, Callable[[Array, Array], Array]] = {"sum": pool_sum, "mean": pool_mean, "max": pool_max}


@jax.custom_jvp
def product(
    x: Float[Array, "*members rows inputs"], kernel: Float[Array, "*members inputs outputs"]
) -> Float[Array, "*members rows outputs"]:
    """x @ kernel, with a derivative that is the same but faster on the CPU: see `transposed`."""
    return x @ kernel


@product.defjvp
def product_derivative(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """Backwards, this gives the kernel's gradient as a product whose first factor is `transposed(x)`."""
    (x, kernel), (x_tangent, kernel_tangent) = primals, tangents
    first = transposed(x).mT if x.size <= SMALL else x
    return product(x, kernel), x_tangent @ kernel + first @ kernel_tangent


def through_all(
    x: Float[Array, "rows inputs"], kernels: Float[Array, "members inputs outputs"]
) -> Float[Array, "members rows outputs"]:
    """The same rows by each of several kernels, as one product with the kernels side by side."""
    members, inputs, outputs = kernels.shape
    side_by_side = kernels.swapaxes(0, 1).reshape(inputs, members * outputs)
    return product(x, side_by_side).reshape(x.shape[0], members, outputs).swapaxes(0, 1)


def transposed(x: Float[Array, "*members rows inputs"]) -> Float[Array, "*members inputs rows"]:
    """The transpose; on the CPU it is made in memory before a product takes it. XLA passes a product to its fast
    kernels only if the first factor need not be transposed; otherwise small products take up to twice as long. The
    barrier keeps XLA from moving the transpose into the product.
    """
    return jax.lax.platform_dependent(x, cpu=lambda x: jax.lax.optimization_barrier(x.mT), default=lambda x: x.mT)


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

    def __init__(self, dense: stacks.Dense, rate: float, part: Part = WHOLE) -> None:
        self.rate, self.part = rate, part
        self.members, self.keys = dense.members, dense.dropout_keys

    def __call__(
        self, x: Float[Array, "*members rows width"], step_key: Int[Array, ""] | None
    ) -> Float[Array, "*members rows width"]:
        """step_key: that of the training step, or None to keep everything."""
        if step_key is None or self.rate == 0:
            return x
        keys = jnp.array(self.keys, jnp.uint32).reshape(*self.members, 1, 1)
        rows, width = x.shape[-2:]
        element = jnp.arange(rows * width, dtype=jnp.uint32).reshape(rows, width)
        element += first_row(rows, self.part) * width  # a mask is that of the whole batch
        kept = random.keep(step_key, keys, element, self.rate)
        return jnp.where(kept, x / (1.0 - self.rate), 0.0)


class Dense(nnx.Module):
    """Linear and, in a hidden layer, layer norm if asked, activation and dropout."""

    def __init__(self, dense: stacks.Dense, model: ModelSpec, part: Part) -> None:
        self.hidden = dense.hidden
        self.kernel = unloaded(*dense.shapes["kernel"])
        self.bias = unloaded(*dense.shapes["bias"])
        self.norm = LayerNorm(dense) if "norm.scale" in dense.shapes else jax.nn.identity
        self.activation = ACTIVATIONS[model.activation]
        self.dropout = Dropout(dense, model.dropout, part)

    def __call__(
        self, x: Float[Array, "*members rows inputs"], step_key: Int[Array, ""] | None
    ) -> Float[Array, "*members rows outputs"]:
        """x: without an axis of members where all take the same. step_key: see `Dropout`."""
        kernel = self.kernel[...]
        x = (product if x.ndim == kernel.ndim else through_all)(x, kernel) + self.bias[..., None, :]
        return self.dropout(self.activation(self.norm(x)), step_key) if self.hidden else x


def through(
    stack: Iterable[Dense], x: Float[Array, "*members rows inputs"], step_key: Int[Array, ""] | None
) -> Float[Array, "*members rows outputs"]:
    """The output of layers that follow one another."""
    for dense in stack:
        x = dense(x, step_key)
    return x
