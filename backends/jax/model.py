"""The network as a flax.nnx.Module, laid out as `backends.layout` says."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from backends import layout, stacks
from backends.jax.experts import Level
from backends.jax.layers import Dense, Embedding, through
from spec.model import ModelSpec
from spec.training import WHOLE, Part


class Network(nnx.Module):
    """Embed, trunk or levels of experts, heads. The parameters are the layout's tensors."""

    def __init__(
        self,
        model: ModelSpec,
        lazy_batch: int | None = None,
        frozen: tuple[str, ...] = (),
        part: Part = WHOLE,
    ) -> None:
        """lazy_batch, frozen, part: see `spec.training.StepSpec`."""
        self.layout, self.part = layout.layout_of(model, lazy_batch, frozen), part

        def stack(tied: stacks.TiedStack) -> nnx.List[Dense]:
            return nnx.List([Dense(dense, model, part) for dense in tied.layers])

        self.tables = nnx.List([Embedding(table, model) for table in self.layout.tables])
        self.trunk = stack(self.layout.trunk) if self.layout.trunk else None
        self.levels = nnx.List([Level(level, model, part) for level in self.layout.levels])
        self.heads = nnx.List([stack(head) for head in self.layout.heads])

    def __call__(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
        *,
        dropout_key: Int[Array, ""] | None = None,
    ) -> dict[str, Float[Array, "rows outputs"]]:
        """The logits by task. dropout_key: that of a training step, or None to keep everything."""
        return self.layout.by_task(self.stacked_logits(numeric, categorical, dropout_key))

    def stacked_logits(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
        dropout_key: Int[Array, ""] | None = None,
    ) -> list[Float[Array, "*members rows outputs"]]:
        """The same by head of the layout, tied tasks in one array: what training takes."""
        inputs = self.head_inputs(self.embed(numeric, categorical), dropout_key)
        return [through(head, x, dropout_key) for head, x in zip(self.heads, inputs, strict=True)]

    def embed(
        self, numeric: Float[Array, "rows columns"] | None, categorical: Int[Array, "rows columns"] | None
    ) -> Float[Array, "rows width"]:
        """The trunk's input: the numeric columns, then every embedding in the spec's order."""
        features: dict[int, Array] = {}
        for embedding in self.tables:
            assert categorical is not None
            features |= embedding(categorical)
        parts = [] if numeric is None else [numeric]
        parts += [features[feature] for feature in sorted(features)]
        return jnp.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def head_inputs(
        self, x: Float[Array, "rows width"], dropout_key: Int[Array, ""] | None
    ) -> list[Float[Array, "*members rows width"]]:
        """What each head of the layout takes; without an axis of members if it is the same for all tasks."""
        of_tasks = shared = x if self.trunk is None else through(self.trunk, x, dropout_key)
        for level in self.levels:
            of_tasks, shared = level(of_tasks, shared, dropout_key)
        if of_tasks.ndim == 2:
            return [of_tasks] * len(self.heads)
        inputs = [of_tasks[jnp.array(p) if isinstance(p, list) else p] for p in self.layout.head_places]
        return [x if head.tied else x[0] for x, head in zip(inputs, self.layout.heads, strict=True)]

    def trunk_outputs(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
    ) -> dict[str, Float[Array, "rows width"]]:
        """What the head of each task takes, by task; the same for all where they share a trunk."""
        outputs: dict[str, Array] = {}
        for head, x in zip(self.layout.heads, self.head_inputs(self.embed(numeric, categorical), None), strict=True):
            outputs |= {task.name: x if x.ndim == 2 else x[i] for i, task in enumerate(head.tasks)}
        return outputs

    def gates(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
    ) -> dict[str, Float[Array, "rows experts"]]:
        """The weights that each gate of the spec gives, by the gate's name; none if experts are not gated."""
        of_tasks = shared = self.embed(numeric, categorical)
        weights: dict[str, Array] = {}
        for level, tied in zip(self.levels, self.layout.levels, strict=True):
            names = (gate.layer.name for gate in tied.task_gates.members)
            weights |= dict(zip(names, level.task_gates(of_tasks), strict=True))
            if tied.shared_gate and level.shared_gate:
                weights[tied.shared_gate.members[0].layer.name] = level.shared_gate(shared)
            of_tasks, shared = level(of_tasks, shared, None)
        return weights

    def bind(self, tensors: Mapping[str, Array]) -> "Network":
        """A network with the layout's tensors as its parameters: what functional_call is to PyTorch."""
        graph, state = nnx.split(self)
        leaves = [(path, leaf.replace(tensors[".".join(map(str, path))])) for path, leaf in nnx.to_flat_state(state)]
        return nnx.merge(graph, nnx.from_flat_state(leaves))
