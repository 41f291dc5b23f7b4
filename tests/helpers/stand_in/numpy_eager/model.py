"""The network in NumPy, laid out as `backends.layout` says."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from backends import layout, stacks
from backends.numpy_eager.layers import Array, Dense, Tensors, through
from spec.model import ModelSpec


class Network:
    """Embed, shared part, heads. The parameters are the layout's tensors: views of one vector, which it copies."""

    def __init__(self, model: ModelSpec, params: Float[Array, " parameters"]) -> None:
        self.layout = layout.layout_of(model)
        self.params = params.copy()
        self.tensors: Tensors = self.layout.to_tensors(self.params)

        def stack(tied: stacks.TiedStack) -> list[Dense]:
            return [Dense(f"{tied.name}.{i}", dense, model) for i, dense in enumerate(tied.layers)]

        self.trunk = stack(self.layout.trunk)
        self.heads = [stack(head) for head in self.layout.heads]

    def __call__(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
    ) -> dict[str, Float[Array, "rows outputs"]]:
        """Logits by task, everything kept."""
        logits, _ = self.stacked_logits(numeric, categorical)
        return self.layout.by_task(logits)

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
        rows_of: list[tuple[str, Array]] = []
        """By categorical column in the spec's order: the table that it looks in, and the rows that it takes there."""
        for column in range(len(self.layout.model.categorical)):
            assert categorical is not None
            i, table = next((i, table) for i, table in enumerate(self.layout.tables) if column in table.columns)
            rows = categorical[:, column] + table.offsets[table.columns.index(column)]
            rows_of.append((f"tables.{i}.embedding", rows))
            parts.append(self.tensors[f"tables.{i}.embedding"][rows])

        def pullback(gradient: Array) -> Tensors:
            gradients = {name: np.zeros_like(self.tensors[name]) for name, _ in rows_of}
            start = 0 if numeric is None else numeric.shape[1]
            for name, rows in rows_of:
                stop = start + gradients[name].shape[1]
                np.add.at(gradients[name], rows, gradient[:, start:stop])
                start = stop
            return gradients

        return np.concatenate(parts, axis=1), pullback
