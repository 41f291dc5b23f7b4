"""The Shared-Bottom network as a torch.nn.Module, laid out as `backends.layout` says."""

import functools
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from backends import layout
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


class LayerNorm(nn.Module):
    """Layer norm over the last axis, with a scale and a bias of its own for each task of a tied head."""

    def __init__(self, dense: layout.Dense) -> None:
        super().__init__()
        self.scale = unloaded(*dense.heads, dense.outputs)
        self.bias = unloaded(*dense.heads, dense.outputs)

    def forward(self, x: Float[Tensor, "*heads rows width"]) -> Float[Tensor, "*heads rows width"]:
        """Same shape."""
        x = F.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)
        return x * self.scale.unsqueeze(-2) + self.bias.unsqueeze(-2)


class Dense(nn.Module):
    """Linear and, in a hidden layer, layer norm if asked, activation and dropout."""

    def __init__(self, dense: layout.Dense, model: ModelSpec, device: torch.device) -> None:
        super().__init__()
        self.hidden, self.rate = dense.hidden, model.dropout
        self.kernel = unloaded(*dense.heads, dense.inputs, dense.outputs)
        self.bias = unloaded(*dense.heads, dense.outputs)
        self.norm = LayerNorm(dense) if dense.hidden and model.normalization == "layer" else nn.Identity()
        self.activation = ACTIVATIONS[model.activation]
        dropout_keys = torch.tensor(dense.dropout_keys, device=device).reshape(*dense.heads, 1, 1)
        self.register_buffer("dropout_keys", dropout_keys, persistent=False)

    def forward(
        self, x: Float[Tensor, "*heads rows inputs"], dropout_key: Int[Tensor, ""] | None
    ) -> Float[Tensor, "*heads rows outputs"]:
        """dropout_key: the step's key, or None to keep everything."""
        if self.kernel.ndim == 2:
            x = torch.addmm(self.bias, x, self.kernel)
        else:
            x = torch.baddbmm(self.bias.unsqueeze(-2), x.expand(len(self.kernel), *x.shape[-2:]), self.kernel)
        if not self.hidden:
            return x
        x = self.activation(self.norm(x))
        return x if dropout_key is None or self.rate == 0 else self.dropout(x, dropout_key)

    def dropout(
        self, x: Float[Tensor, "*heads rows width"], key: Int[Tensor, ""]
    ) -> Float[Tensor, "*heads rows width"]:
        """Zero the elements that the spec's hash drops, and scale the others by 1 / (1 - rate)."""
        element = torch.arange(x.shape[-2] * x.shape[-1], device=x.device).reshape(x.shape[-2:])
        kept = random.keep(key, self.dropout_keys, element, self.rate)
        return torch.where(kept, x / (1.0 - self.rate), 0.0)


class SharedBottom(nn.Module):
    """The network. Its parameters are the layout's tensors."""

    def __init__(self, model: ModelSpec, device: torch.device) -> None:
        super().__init__()
        self.layout = layout.layout_of(model)
        self._bound: tuple[Tensor, list[nn.Parameter]] | None = None
        self.tables = nn.ParameterList(unloaded(table.rows, table.dimension) for table in self.layout.tables)
        for i, table in enumerate(self.layout.tables):
            self.register_buffer(f"offsets_{i}", torch.tensor(table.offsets, device=device), persistent=False)
        self.trunk = nn.ModuleList(Dense(dense, model, device) for dense in self.layout.trunk)
        self.heads = nn.ModuleList(
            nn.ModuleList(Dense(dense, model, device) for dense in head.layers) for head in self.layout.heads
        )

    def bind(self, params: Float[Tensor, " parameters"]) -> list[nn.Parameter]:
        """Make the network's parameters views of `params`, if they are not yet; returns them in the layout's order."""
        if self._bound is None or self._bound[0] is not params:
            own = {name: nn.Parameter(tensor) for name, tensor in self.layout.to_tensors(params).items()}
            self.load_state_dict(own, assign=True)
            self._bound = params, list(own.values())
        return self._bound[1]

    def forward(
        self,
        numeric: Float[Tensor, "rows columns"] | None = None,
        categorical: Int[Tensor, "rows columns"] | None = None,
        *,
        dropout_key: Int[Tensor, ""] | None = None,
        by_task: bool = True,
    ) -> Any:
        """Logits by task (rows, outputs); or a list by head of the layout (tasks…, rows, outputs), to train on."""
        x = self.embed(numeric, categorical)
        for dense in self.trunk:
            x = dense(x, dropout_key)
        logits = []
        for head in self.heads:
            y = x
            for dense in cast(nn.ModuleList, head):
                y = dense(y, dropout_key)
            logits.append(y)
        return self.layout.by_task(logits) if by_task else logits

    def embed(
        self, numeric: Float[Tensor, "rows columns"] | None, categorical: Int[Tensor, "rows columns"] | None
    ) -> Float[Tensor, "rows width"]:
        """The trunk's input: the numeric columns, then every embedding in the spec's order."""
        columns: dict[int, Tensor] = {}
        for i, table in enumerate(self.layout.tables):
            assert categorical is not None
            ids = categorical[:, list(table.columns)] if len(self.layout.tables) > 1 else categorical
            embedded = F.embedding(ids + getattr(self, f"offsets_{i}"), self.tables[i])  # (rows, columns, dimension)
            if len(self.layout.tables) == 1:
                columns[0] = embedded.flatten(1)
            else:
                columns |= dict(zip(table.columns, embedded.unbind(1), strict=True))
        parts = [columns[column] for column in sorted(columns)]
        parts = parts if numeric is None else [numeric, *parts]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
