"""The network in NumPy, laid out as `backends.layout` says."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int

from backends import stacks
from backends.layout import Layout
from backends.numpy_eager.layers import Array, Dense, Tensors, look_up, through


class Network:
    """Embed, shared part, heads. The parameters are the layout's tensors: views of one vector, which it copies."""

    def __init__(self, layout: Layout, params: Float[Array, " parameters"], constants: Mapping[str, Array]) -> None:
        """constants: has the layout's frozen tensors by name."""
        self.layout, self.params = layout, params.copy()
        self.frozen = {name: constants[name] for name in layout.frozen}

        def stack(tied: stacks.TiedStack) -> list[Dense]:
            return [Dense(f"{tied.name}.{i}", dense, layout.model) for i, dense in enumerate(tied.layers)]

        assert self.layout.trunk is not None  # networks with gates are refused
        self.trunk = stack(self.layout.trunk)
        self.heads = [stack(head) for head in self.layout.heads]

    @property
    def tensors(self) -> Tensors:
        """The layout's tensors by name."""
        moved, frozen = self.layout.to_tensors(self.params), self.frozen
        joined = {
            name: np.concatenate([moved[name], frozen[name]])[members] for name, members in self.layout.joined.items()
        }
        return {**moved, **frozen, **joined}

    def __call__(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
    ) -> dict[str, Float[Array, "rows outputs"]]:
        """Logits by task, everything kept."""
        logits, _ = self.stacked_logits(numeric, categorical)
        return self.layout.by_task(logits)

    def trunk_outputs(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
    ) -> dict[str, Float[Array, "rows width"]]:
        """What the head of each task takes, by task: the same for all."""
        x, _ = self.embed(numeric, categorical)
        shared, _ = through(self.trunk, self.tensors, x, None)
        return {task.name: shared for task in self.layout.model.tasks}

    def stacked_logits(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
        dropout_key: Int[Array, ""] | None = None,
    ) -> tuple[list[Float[Array, "*members rows outputs"]], Callable[[list[Array]], Tensors]]:
        """Logits by head of the layout, and what takes their gradients to those of the layout's tensors."""
        x, embed_pullback = self.embed(numeric, categorical)
        shared, trunk_pullback = through(self.trunk, self.tensors, x, dropout_key)
        runs = [through(head, self.tensors, shared, dropout_key) for head in self.heads]

        def pullback(gradients_of_logits: list[Array]) -> Tensors:
            gradients: Tensors = {}
            gradient = np.zeros_like(shared)
            for (_, head_pullback), of_logits in zip(runs, gradients_of_logits, strict=True):
                of_shared, of_head = head_pullback(of_logits)
                gradient += of_shared
                gradients |= of_head
            of_input, of_trunk = trunk_pullback(gradient)
            return gradients | of_trunk | embed_pullback(of_input)

        return [logits for logits, _ in runs], pullback

    def embed(
        self, numeric: Float[Array, "rows columns"] | None, categorical: Int[Array, "rows columns"] | None
    ) -> tuple[Float[Array, "rows width"], Callable[[Array], Tensors]]:
        """The trunk's input: the numeric columns, then every embedding in the spec's order."""
        parts = [] if numeric is None else [numeric]
        features: dict[int, tuple[Array, Callable[[Array], Tensors]]] = {}
        for table in self.layout.tables:
            assert categorical is not None
            features |= look_up(table, self.tensors[f"{table.name}.embedding"], categorical)
        looked_up = [features[feature] for feature in sorted(features)]
        parts += [embedded for embedded, _ in looked_up]

        def pullback(gradient: Array) -> Tensors:
            gradients: Tensors = {}
            start = 0 if numeric is None else numeric.shape[1]
            for embedded, of_feature in looked_up:
                stop = start + embedded.shape[1]
                for name, of_table in of_feature(gradient[:, start:stop]).items():
                    gradients[name] = gradients.get(name, 0.0) + of_table
                start = stop
            return gradients

        return np.concatenate(parts, axis=1), pullback
