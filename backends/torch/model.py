"""The network as a torch.nn.Module, laid out as `backends.layout` says."""

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from backends import layout, stacks
from backends.torch.experts import Level
from backends.torch.layers import Dense, Embedding, through
from spec.model import ModelSpec
from spec.training import WHOLE, Part


class Network(nn.Module):
    """Embed, trunk or levels of experts, heads. The parameters are the layout's tensors."""

    def __init__(
        self,
        model: ModelSpec,
        device: torch.device,
        lazy_batch: int | None = None,
        frozen: tuple[str, ...] = (),
        part: Part = WHOLE,
    ) -> None:
        """lazy_batch, frozen, part: see `spec.training.StepSpec`."""
        super().__init__()
        self.layout, self.part = layout.layout_of(model, lazy_batch, frozen), part
        self._bound: tuple[Tensor, list[nn.Parameter]] | None = None
        # Those of the layout, made once on the device: of a list, each step would make a tensor there.
        self.joined = {name: torch.tensor(members, device=device) for name, members in self.layout.joined.items()}

        def stack(tied: stacks.TiedStack) -> nn.ModuleList:
            return nn.ModuleList(Dense(dense, model, device, part) for dense in tied.layers)

        self.tables = nn.ModuleList(Embedding(table, model, device) for table in self.layout.tables)
        self.trunk = stack(self.layout.trunk) if self.layout.trunk else None
        self.levels = nn.ModuleList(Level(level, model, device, part) for level in self.layout.levels)
        self.heads = nn.ModuleList(stack(head) for head in self.layout.heads)

    def forward(
        self,
        numeric: Float[Tensor, "rows columns"] | None = None,
        categorical: Int[Tensor, "rows columns"] | None = None,
        *,
        dropout_key: Int[Tensor, ""] | None = None,
    ) -> dict[str, Float[Tensor, "rows outputs"]]:
        """The logits by task. dropout_key: that of a training step, or None to keep everything."""
        return self.layout.by_task(self.stacked_logits(numeric, categorical, dropout_key))

    def stacked_logits(
        self,
        numeric: Float[Tensor, "rows columns"] | None = None,
        categorical: Int[Tensor, "rows columns"] | None = None,
        dropout_key: Int[Tensor, ""] | None = None,
    ) -> list[Float[Tensor, "*members rows outputs"]]:
        """The same by head of the layout, tied tasks in one array: what training takes."""
        inputs = self.head_inputs(self.embed(numeric, categorical), dropout_key)
        stacks = (cast(Iterable[nn.Module], head) for head in self.heads)
        return [through(stack, x, dropout_key) for stack, x in zip(stacks, inputs, strict=True)]

    def embed(
        self, numeric: Float[Tensor, "rows columns"] | None, categorical: Int[Tensor, "rows columns"] | None
    ) -> Float[Tensor, "rows width"]:
        """The trunk's input: the numeric columns, then every embedding in the spec's order."""
        features: dict[int, Tensor] = {}
        for embedding in self.tables:
            assert categorical is not None
            features |= embedding(categorical)
        parts = [] if numeric is None else [numeric]
        parts += [features[feature] for feature in sorted(features)]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def head_inputs(
        self, x: Float[Tensor, "rows width"], dropout_key: Int[Tensor, ""] | None
    ) -> list[Float[Tensor, "*members rows width"]]:
        """What each head of the layout takes; without an axis of members if it is the same for all tasks."""
        of_tasks = shared = x if self.trunk is None else through(self.trunk, x, dropout_key)
        for level in self.levels:
            of_tasks, shared = level(of_tasks, shared, dropout_key)
        if of_tasks.ndim == 2:
            return [of_tasks] * len(self.heads)
        inputs = [of_tasks[places] for places in self.layout.head_places]
        return [x if head.tied else x[0] for x, head in zip(inputs, self.layout.heads, strict=True)]

    def trunk_outputs(
        self,
        numeric: Float[Tensor, "rows columns"] | None = None,
        categorical: Int[Tensor, "rows columns"] | None = None,
    ) -> dict[str, Float[Tensor, "rows width"]]:
        """What the head of each task takes, by task; the same for all where they share a trunk."""
        outputs: dict[str, Tensor] = {}
        for head, x in zip(self.layout.heads, self.head_inputs(self.embed(numeric, categorical), None), strict=True):
            outputs |= {task.name: x if x.ndim == 2 else x[i] for i, task in enumerate(head.tasks)}
        return outputs

    def gates(
        self,
        numeric: Float[Tensor, "rows columns"] | None = None,
        categorical: Int[Tensor, "rows columns"] | None = None,
    ) -> dict[str, Float[Tensor, "rows experts"]]:
        """The weights that each gate of the spec gives, by the gate's name; none if experts are not gated."""
        of_tasks = shared = self.embed(numeric, categorical)
        weights: dict[str, Tensor] = {}
        for level, tied in zip(self.levels, self.layout.levels, strict=True):
            level = cast(Level, level)
            names = (gate.layer.name for gate in tied.task_gates.members)
            weights |= dict(zip(names, level.task_gates(of_tasks), strict=True))
            if tied.shared_gate and level.shared_gate:
                weights[tied.shared_gate.members[0].layer.name] = level.shared_gate(shared)
            of_tasks, shared = level(of_tasks, shared, None)
        return weights

    def bind(self, params: Float[Tensor, " parameters"], constants: Mapping[str, Tensor]) -> list[nn.Parameter]:
        """Make the network's parameters views of `params`, if they are not yet; returns them in the layout's order.

        constants: has the layout's frozen tensors by name.
        """
        if self._bound is None or self._bound[0] is not params:
            views = {name: nn.Parameter(tensor) for name, tensor in self.layout.to_tensors(params).items()}
            frozen = {name: nn.Parameter(constants[name], requires_grad=False) for name in self.layout.frozen}
            self.load_state_dict({**views, **frozen}, assign=True)
            self._bound = params, list(views.values())
        return self._bound[1]
