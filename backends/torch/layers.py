"""The network's layers as torch.nn.Modules: dense, layer norm, dropout, embedding. Tied ones have a leading axis."""

import functools
from collections.abc import Callable, Iterable
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from backends import stacks
from spec import random
from spec.model import LAYER_NORM_EPS, ModelSpec

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": functools.partial(F.gelu, approximate="none"),
    "silu": F.silu,
    "tanh": torch.tanh,
}


def unloaded(*shape: int) -> nn.Parameter:
    """A parameter without storage: the trainer passes one in at each call, and `build` loads one."""
    return nn.Parameter(torch.empty(shape, device="meta"))


class Embedding(nn.Module):
    """Embedding tables of one dimension, looked up in one gather."""

    def __init__(self, table: stacks.Table, model: ModelSpec, device: torch.device) -> None:
        super().__init__()
        self.columns = list(table.columns)
        self.alone = len(self.columns) == len(model.categorical)
        self.embedding = unloaded(table.rows, table.dimension)
        self.offsets: Tensor
        self.register_buffer("offsets", torch.tensor(table.offsets, device=device), persistent=False)

    def forward(self, categorical: Int[Tensor, "rows features"]) -> dict[int, Float[Tensor, "rows width"]]:
        """The embeddings of the columns that look here, by column; side by side under 0 if all columns do."""
        ids = categorical if self.alone else categorical[:, self.columns]
        embedded = F.embedding(ids + self.offsets, self.embedding)  # (rows, columns, dimension)
        return {0: embedded.flatten(1)} if self.alone else dict(zip(self.columns, embedded.unbind(1), strict=True))


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

    def __init__(self, dense: stacks.Dense, rate: float, device: torch.device) -> None:
        super().__init__()
        self.rate = rate
        keys = torch.tensor(dense.dropout_keys, device=device).reshape(*dense.members, 1, 1)
        self.register_buffer("keys", keys, persistent=False)

    def forward(
        self, x: Float[Tensor, "*members rows width"], step_key: Int[Tensor, ""] | None
    ) -> Float[Tensor, "*members rows width"]:
        """step_key: that of the training step, or None to keep everything."""
        if step_key is None or self.rate == 0:
            return x
        element = torch.arange(x.shape[-2] * x.shape[-1], device=x.device).reshape(x.shape[-2:])
        kept = random.keep(step_key, self.keys, element, self.rate)
        return torch.where(kept, x / (1.0 - self.rate), 0.0)


class Dense(nn.Module):
    """Linear and, in a hidden layer, layer norm if asked, activation and dropout."""

    def __init__(self, dense: stacks.Dense, model: ModelSpec, device: torch.device) -> None:
        super().__init__()
        self.hidden = dense.hidden
        self.kernel = unloaded(*dense.shapes["kernel"])
        self.bias = unloaded(*dense.shapes["bias"])
        self.norm = LayerNorm(dense) if "norm.scale" in dense.shapes else nn.Identity()
        self.activation = ACTIVATIONS[model.activation]
        self.dropout = Dropout(dense, model.dropout, device)

    def forward(
        self, x: Float[Tensor, "*members rows inputs"], step_key: Int[Tensor, ""] | None
    ) -> Float[Tensor, "*members rows outputs"]:
        """step_key: see `Dropout`."""
        if self.kernel.ndim == 2:
            x = torch.addmm(self.bias, x, self.kernel)
        else:
            x = torch.baddbmm(self.bias.unsqueeze(-2), x.expand(len(self.kernel), *x.shape[-2:]), self.kernel)
        return self.dropout(self.activation(self.norm(x)), step_key) if self.hidden else x


def through(
    stack: Iterable[nn.Module], x: Float[Tensor, "*members rows inputs"], step_key: Int[Tensor, ""] | None
) -> Float[Tensor, "*members rows outputs"]:
    """The output of layers that follow one another."""
    for dense in stack:
        x = cast(Dense, dense)(x, step_key)
    return x
