"""A network that is built once, and predicts any number of rows: what a `spec.Predictor` is, whatever the framework."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np

from backends.batches import MAX_CALL_BYTES, Batches, padded_inputs
from backends.costs import FEW_FLOPS, FEW_NUMBERS
from backends.layout import layout_of
from backends.links import predictions
from spec.data import Dataset
from spec.flops import prediction_flops
from spec.model import ModelSpec
from spec.network import layers, levels
from spec.params import Params
from spec.predictor import Predictor
from spec.training import Precision

PREDICT_ROWS = 8192
"""Most rows that one call of the network predicts."""

Output = Literal["logits", "gates", "trunk_outputs"]
"""What a forward pass gives for each row: by task (rows, outputs), by gate (rows, experts), by task (rows, width)."""
Forward = Callable[[Output, Batches], Params]
"""A forward pass of one network: from the inputs of some rows, as `backends.batches.encode_inputs` makes them, to an
output's arrays by name, in any order."""


class SharedPredictor(Predictor):
    """A forward pass, with what every backend does before it and after it."""

    def __init__(
        self,
        model: ModelSpec,
        precision: Precision,
        forward: Forward,
        computing: Callable[[int], AbstractContextManager[Any]],
    ) -> None:
        """computing: a block in which the calling thread computes calls of so many floating-point operations."""
        self._model, self._precision, self._forward, self._computing = model, precision, forward, computing
        self._layout, self._row_flops = layout_of(model), prediction_flops(model, 1)
        embedded = sum(feature.length * feature.dimension for feature in model.categorical)
        self._row_numbers = model.numeric + embedded + sum(layer.outputs for layer in layers(model))
        tasks = [task.name for task in model.tasks]
        self._names: dict[Output, list[str]] = {
            "logits": tasks,
            "gates": [gate.layer.name for level in levels(model) for gate in level.gates],
            "trunk_outputs": tasks,
        }
        ids = sum(feature.length for feature in model.categorical)
        self._row_bytes = model.numeric * np.dtype(precision).itemsize + ids * np.dtype(np.int32).itemsize

    def predict(self, data: Dataset) -> Params:
        """See `spec.Predictor.predict`."""
        return predictions(self._model, self._outputs("logits", data))

    def gates(self, data: Dataset) -> Params:
        """See `spec.Predictor.gates`."""
        return self._outputs("gates", data)

    def trunk_outputs(self, data: Dataset) -> Params:
        """See `spec.Predictor.trunk_outputs`."""
        return self._outputs("trunk_outputs", data)

    def _outputs(self, output: Output, data: Dataset) -> Params:
        """What the forward pass gives for each row, by name, in new arrays."""
        data.check(self._model, labels=False, precision=self._precision)
        if not self._names[output]:
            return {}
        most = max(1, min(PREDICT_ROWS, MAX_CALL_BYTES // self._row_bytes))
        rows = min(most, 2 * data.rows)  # with those that pad them
        few = self._row_flops * rows < FEW_FLOPS and self._row_numbers * rows < FEW_NUMBERS
        with nullcontext() if few else self._computing(self._row_flops * min(most, data.rows)):
            pieces = padded_inputs(self._layout, data, self._precision, most)
            chunks = [self._forward(output, inputs) for inputs in pieces]
        return {name: np.concatenate([chunk[name] for chunk in chunks])[: data.rows] for name in self._names[output]}
