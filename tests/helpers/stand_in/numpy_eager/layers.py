"""The layers, each with its pullback: from the gradient of its output to those of its input and its parameters."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit, ndtr

from backends import stacks
from spec import random
from spec.model import LAYER_NORM_EPS, ModelSpec

Array = np.ndarray
Tensors = dict[str, Array]
"""Arrays by the layout's names."""
Pullback = Callable[[Array], tuple[Array, Tensors]]


def relu(x: Array) -> tuple[Array, Array]:
    """max(x, 0), and its slope."""
    positive = x > 0
    return np.where(positive, x, 0.0), positive.astype(x.dtype)


def gelu(x: Array) -> tuple[Array, Array]:
    """x·Φ(x), and its slope."""
    probability, density = ndtr(x), np.exp(-np.square(x) / 2.0) / np.sqrt(2.0 * np.pi).astype(x.dtype)
    return x * probability, probability + x * density


def silu(x: Array) -> tuple[Array, Array]:
    """x·σ(x), and its slope."""
    gate = expit(x)
    return x * gate, gate * (1.0 + x * (1.0 - gate))


def tanh(x: Array) -> tuple[Array, Array]:
    """tanh x, and its slope."""
    y = np.tanh(x)
    return y, 1.0 - np.square(y)


ACTIVATIONS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "relu": relu,
    "gelu": gelu,
    "silu": silu,
    "tanh": tanh,
}


def look_up(
    table: stacks.EmbeddingTable, embedding: Float[Array, "ids dimension"], categorical: Int[Array, "rows columns"]
) -> dict[int, tuple[Float[Array, "rows dimension"], Callable[[Array], Tensors]]]:
    """The embeddings by feature, each with what takes its gradient to that of the table."""
    ids = categorical[:, list(table.columns)]
    there = ids >= 0
    rows = np.where(there, ids + np.array(table.offsets), 0)

    def of(lookup: stacks.Lookup) -> tuple[Array, Callable[[Array], Tensors]]:
        mine, embedded = rows[:, lookup.columns], embedding[rows[:, lookup.columns]]
        shares = pool_shares(embedded, there[:, lookup.columns, None], lookup.pooling)

        def pullback(gradient: Array) -> Tensors:
            of_table = np.zeros_like(embedding)
            np.add.at(of_table, mine, shares * gradient[:, None])
            return {f"{table.name}.embedding": of_table}

        return (shares * embedded).sum(1), pullback

    return {lookup.feature: of(lookup) for lookup in table.lookups}


def pool_shares(
    embedded: Float[Array, "rows ids dimension"], there: Bool[Array, "rows ids 1"], pooling: str | None
) -> Float[Array, "rows ids dimension"]:
    """How much each element counts: 0 if its id is not there; of a mean evenly, of a maximum the largest evenly."""
    if pooling == "max":
        there = there & (embedded == np.where(there, embedded, -np.inf).max(1, keepdims=True))
    number = np.maximum(there.sum(1, keepdims=True), 1) if pooling in ("mean", "max") else 1
    return (there / number).astype(embedded.dtype)


class Dense:
    """Linear and, in a hidden layer, layer norm if asked, activation and dropout."""

    def __init__(self, name: str, dense: stacks.Dense, model: ModelSpec) -> None:
        self.name, self.hidden, self.model = name, dense.hidden, model
        self.norm = "norm.scale" in dense.shapes
        self.dropout_keys = np.array(dense.dropout_keys).reshape(*dense.members, 1, 1)

    def __call__(
        self, tensors: Mapping[str, Array], x: Float[Array, "*members rows inputs"], dropout_key: Int[Array, ""] | None
    ) -> tuple[Float[Array, "*members rows outputs"], Pullback]:
        """dropout_key: the step's key, or None to keep everything."""
        kernel, bias = tensors[f"{self.name}.kernel"], tensors[f"{self.name}.bias"]
        y = x @ kernel + bias[..., None, :]
        norm_pullback: Pullback | None = None
        slope = None
        if self.hidden:
            if self.norm:
                y, norm_pullback = layer_norm(f"{self.name}.norm", tensors, y)
            y, slope = ACTIVATIONS[self.model.activation](y)
            if dropout_key is not None and self.model.dropout > 0:
                factor = self.dropout(y, dropout_key)
                y, slope = y * factor, slope * factor

        def pullback(gradient: Array) -> tuple[Array, Tensors]:
            gradients: Tensors = {}
            if slope is not None:
                gradient = gradient * slope
            if norm_pullback is not None:
                gradient, gradients = norm_pullback(gradient)
            gradients[f"{self.name}.kernel"] = x.swapaxes(-1, -2) @ gradient
            gradients[f"{self.name}.bias"] = gradient.sum(-2)
            of_input = gradient @ kernel.swapaxes(-1, -2)
            # The members of tied heads all take the trunk's output, which has no axis of members.
            return of_input.sum(0) if of_input.ndim > x.ndim else of_input, gradients

        return y, pullback

    def dropout(
        self, y: Float[Array, "*members rows width"], key: Int[Array, ""]
    ) -> Float[Array, "*members rows width"]:
        """0 for the elements that the spec's hash drops, and 1 / (1 - rate) for the others."""
        element = np.arange(y.shape[-2] * y.shape[-1]).reshape(y.shape[-2:])
        kept = random.keep(int(key), self.dropout_keys, element, self.model.dropout)
        return kept.astype(y.dtype) / (1.0 - self.model.dropout)


def layer_norm(
    name: str, tensors: Mapping[str, Array], x: Float[Array, "*members rows width"]
) -> tuple[Float[Array, "*members rows width"], Pullback]:
    """Layer norm over the last axis, with a scale and a bias for each member of a tied layer."""
    scale, bias = tensors[f"{name}.scale"][..., None, :], tensors[f"{name}.bias"][..., None, :]
    centred = x - x.mean(-1, keepdims=True)
    inverse = 1.0 / np.sqrt(np.square(centred).mean(-1, keepdims=True) + LAYER_NORM_EPS)
    normal = centred * inverse

    def pullback(gradient: Array) -> tuple[Array, Tensors]:
        gradients = {f"{name}.scale": (gradient * normal).sum(-2), f"{name}.bias": gradient.sum(-2)}
        gradient = gradient * scale
        along = normal * (gradient * normal).mean(-1, keepdims=True)
        return inverse * (gradient - gradient.mean(-1, keepdims=True) - along), gradients

    return normal * scale + bias, pullback


def through(
    stack: list[Dense], tensors: Mapping[str, Array], x: Float[Array, "*members rows inputs"], key: Array | None
) -> tuple[Float[Array, "*members rows outputs"], Pullback]:
    """The output of layers that follow one another. key: the step's dropout key, or None to keep everything."""
    pullbacks = []
    for dense in stack:
        x, of_layer = dense(tensors, x, key)
        pullbacks.append(of_layer)

    def pullback(gradient: Array) -> tuple[Array, Tensors]:
        gradients: Tensors = {}
        for of_layer in reversed(pullbacks):
            gradient, of_parameters = of_layer(gradient)
            gradients |= of_parameters
        return gradient, gradients

    return x, pullback
