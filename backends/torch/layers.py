"""The network's layers as torch.nn.Modules: dense, layer norm, dropout, embedding. Tied ones have a leading axis."""

import functools
from collections.abc import Callable, Iterable
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from backends import stacks
from backends.torch.processes import first_row
from spec import random
from spec.model import LAYER_NORM_EPS, ModelSpec, Pooling
from spec.training import WHOLE, Part

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": functools.partial(F.gelu, approximate="none"),
    "silu": F.silu,
    "tanh": torch.tanh,
}


def unloaded(*shape: int, trainable: bool = True) -> nn.Parameter:
    """A parameter without storage: the trainer passes one in at each call, and `build` loads one."""
    return nn.Parameter(torch.empty(shape, device="meta"), requires_grad=trainable)


class Embedding(nn.Module):
    """Embedding tables of one dimension, looked up in one gather."""

    def __init__(self, table: stacks.EmbeddingTable, model: ModelSpec, device: torch.device) -> None:
        super().__init__()
        self.lookups, self.pooled = table.lookups, table.pooled
        self.serves_all = len(self.lookups) == len(model.categorical)
        self.embedding = unloaded(table.rows, table.dimension, trainable=table.trainable)
        self.columns: Tensor
        self.offsets: Tensor
        self.register_buffer("columns", torch.tensor(table.columns, device=device), persistent=False)
        self.has_offsets = any(table.offsets)
        self.register_buffer("offsets", torch.tensor(table.offsets, dtype=torch.int32, device=device), persistent=False)

    def forward(self, categorical: Int[Tensor, "rows columns"]) -> dict[int, Float[Tensor, "rows width"]]:
        """The embeddings of the features that look here, by feature; if all do, side by side under the first."""
        ids = categorical if self.serves_all else categorical.index_select(1, self.columns)
        rows = ids + self.offsets if self.has_offsets else ids
        if self.pooled:
            there = ids >= 0
            embedded = torch.embedding(self.embedding, torch.where(there, rows, 0))
            return {lookup.feature: pool(embedded, there, lookup) for lookup in self.lookups}
        embedded = torch.embedding(self.embedding, rows)  # (rows, columns, dimension)
        if self.serves_all:
            return {0: embedded.flatten(1)}
        return {lookup.feature: part for lookup, part in zip(self.lookups, embedded.unbind(1), strict=True)}


def pool(
    embedded: Float[Tensor, "rows columns dimension"], there: Bool[Tensor, "rows columns"], lookup: stacks.Lookup
) -> Float[Tensor, "rows dimension"]:
    """A feature's embedding: that of its id, or of those of its ids that are there. Others get no gradient."""
    start, stop = lookup.columns.start, lookup.columns.stop
    if lookup.pooling is None:
        return embedded.select(1, start)
    pooled, length = POOLINGS[lookup.pooling], stop - start
    return pooled(embedded.narrow(1, start, length), there.narrow(1, start, length).unsqueeze(-1))


def pool_sum(
    embedded: Float[Tensor, "rows ids dimension"], there: Bool[Tensor, "rows ids 1"]
) -> Float[Tensor, "rows dimension"]:
    """Their sum; 0 of none."""
    return torch.where(there, embedded, 0.0).sum(1)


def pool_mean(
    embedded: Float[Tensor, "rows ids dimension"], there: Bool[Tensor, "rows ids 1"]
) -> Float[Tensor, "rows dimension"]:
    """Their mean; 0 of none."""
    return pool_sum(embedded, there) / there.sum(1).clamp(min=1)


def pool_max(
    embedded: Float[Tensor, "rows ids dimension"], there: Bool[Tensor, "rows ids 1"]
) -> Float[Tensor, "rows dimension"]:
    """The largest of each element; 0 of none. Equal ones share the gradient evenly."""
    largest = torch.where(there, embedded, -torch.inf).amax(1)
    return torch.where(there.any(1), largest, 0.0)


POOLINGS: dict[Pooling, Callable[[Tensor, Tensor], Tensor]] = {"sum": pool_sum, "mean": pool_mean, "max": pool_max}


def through_all(
    x: Float[Tensor, "rows inputs"],
    kernels: Float[Tensor, "members inputs outputs"],
    biases: Float[Tensor, "members outputs"] | None = None,
) -> Float[Tensor, "members rows outputs"]:
    """The same rows by each of several kernels, as one product with the kernels side by side."""
    members, inputs, outputs = kernels.shape
    side_by_side = kernels.transpose(0, 1).reshape(inputs, members * outputs)
    all_outputs = x @ side_by_side if biases is None else torch.addmm(biases.flatten(), x, side_by_side)
    return all_outputs.view(x.shape[0], members, outputs).transpose(0, 1)


class LayerNorm(nn.Module):
    """Layer norm over the last axis, with a scale and a bias for each member of a tied layer."""

    def __init__(self, dense: stacks.Dense) -> None:
        super().__init__()
        self.scale = unloaded(*dense.shapes["norm.scale"])
        self.bias = unloaded(*dense.shapes["norm.bias"])

    def forward(self, x: Float[Tensor, "*members rows width"]) -> Float[Tensor, "*members rows width"]:
        """Same shape."""
        x = F.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)
        return x * self.scale.unsqueeze(-2) + self.bias.unsqueeze(-2)


class Dropout(nn.Module):
    """Zeroes the elements that the spec's hash drops, and scales the others by 1 / (1 - rate)."""

    def __init__(self, dense: stacks.Dense, rate: float, device: torch.device, part: Part = WHOLE) -> None:
        super().__init__()
        self.rate, self.part = rate, part
        keys = torch.tensor(dense.dropout_keys, device=device).reshape(*dense.members, 1, 1)
        self.register_buffer("keys", keys, persistent=False)

    def forward(
        self, x: Float[Tensor, "*members rows width"], step_key: Int[Tensor, ""]
    ) -> Float[Tensor, "*members rows width"]:
        """step_key: that of the training step."""
        if self.rate == 0:
            return x
        rows, width = x.shape[-2:]
        element = torch.arange(rows * width, device=x.device).reshape(rows, width)
        element += first_row(rows, self.part) * width  # a mask is that of the whole batch
        kept = random.keep(step_key, self.keys, element, self.rate)
        return torch.where(kept, x / (1.0 - self.rate), 0.0)


class Dense(nn.Module):
    """Linear and, in a hidden layer, layer norm if asked, activation and dropout."""

    def __init__(self, dense: stacks.Dense, model: ModelSpec, device: torch.device, part: Part) -> None:
        super().__init__()
        self.hidden = dense.hidden
        self.kernel = unloaded(*dense.shapes["kernel"])
        self.bias = unloaded(*dense.shapes["bias"])
        self.norm = LayerNorm(dense) if "norm.scale" in dense.shapes else None
        self.activation = ACTIVATIONS[model.activation]
        self.dropout = Dropout(dense, model.dropout, device, part)

    def forward(
        self, x: Float[Tensor, "*members rows inputs"], step_key: Int[Tensor, ""] | None
    ) -> Float[Tensor, "*members rows outputs"]:
        """x: without an axis of members where all take the same. step_key: that of the step; None keeps all."""
        kernel, bias = self.kernel, self.bias  # each asks the module's tables
        if kernel.ndim == 2:
            x = torch.addmm(bias, x, kernel)
        elif x.ndim == 2:
            x = through_all(x, kernel, bias)
        else:
            x = torch.baddbmm(bias.unsqueeze(-2), x, kernel)
        if not self.hidden:
            return x
        x = self.activation(x if self.norm is None else self.norm(x))
        return x if step_key is None else self.dropout(x, step_key)


def through(
    stack: Iterable[nn.Module], x: Float[Tensor, "*members rows inputs"], step_key: Int[Tensor, ""] | None
) -> Float[Tensor, "*members rows outputs"]:
    """The output of layers that follow one another."""
    for dense in stack:
        x = cast(Dense, dense)(x, step_key)
    return x
