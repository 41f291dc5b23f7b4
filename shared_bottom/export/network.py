"""The network in the graph, from its inputs to the outputs of its heads, as `spec.network` describes it."""

from dataclasses import dataclass

import numpy as np

from shared_bottom.export.graph import Graph, Value
from shared_bottom.export.layers import ACTIVATIONS, layer_norm
from spec.model import ModelSpec
from spec.network import Gate, Layer, Stack, heads, levels
from spec.params import Params
from spec.tasks import TaskSpec


@dataclass(frozen=True)
class Network:
    """Adds a network with its parameters to a graph."""

    graph: Graph
    model: ModelSpec
    params: Params

    def head_outputs(self, inputs: Value) -> dict[str, Value]:
        """What the heads give, by task: (rows, outputs).

        inputs: (rows, input_width).
        """
        taken: dict[TaskSpec | None, Value] = dict.fromkeys([*self.model.tasks, None], inputs)  # None: shared experts
        for level in levels(self.model):
            experts = [self._through(expert, taken[expert.task]) for expert in level.experts]
            if level.gates:
                side_by_side = [self.graph("Unsqueeze", expert, np.array([1])) for expert in experts]
                joined = self.graph("Concat", *side_by_side, axis=1)  # (rows, experts, width)
                taken = {gate.task: self._mixed(gate, taken[gate.task], joined, len(experts)) for gate in level.gates}
            else:
                of_tasks = {expert.task: x for expert, x in zip(level.experts, experts, strict=True)}
                taken = {task: of_tasks.get(task, experts[0]) for task in self.model.tasks}
        return {head.task.name: self._through(head, taken[head.task]) for head in heads(self.model) if head.task}

    def _through(self, stack: Stack, x: Value) -> Value:
        """The output of layers that follow one another."""
        for layer in stack.layers:
            x = self._dense(layer, x)
        return x

    def _dense(self, layer: Layer, x: Value) -> Value:
        """A linear layer and, if it is hidden, layer norm if asked and the activation."""
        kernel = self.params[f"{layer.name}.kernel"]
        if not layer.bias:
            return self.graph("MatMul", x, kernel)
        x = self.graph("Gemm", x, kernel, self.params[f"{layer.name}.bias"])
        if not layer.hidden:
            return x
        if self.model.normalization == "layer":
            scale, bias = (self.params[f"{layer.name}.norm.{part}"] for part in ("scale", "bias"))
            x = layer_norm(self.graph, x, scale, bias)
        return ACTIVATIONS[self.model.activation](self.graph, x, kernel.dtype)

    def _mixed(self, gate: Gate, x: Value, experts: Value, count: int) -> Value:
        """The sum of the experts' outputs that a gate weighs: (rows, width).

        x: what the gate looks at, (rows, inputs).
        experts: the outputs of all `count` experts of the level, (rows, experts, width).
        """
        weights = self.graph("Softmax", self._dense(gate.layer, x), axis=-1)
        if len(gate.experts) < count:
            experts = self.graph("Gather", experts, np.array(gate.experts), axis=1)
        mixed = self.graph("MatMul", self.graph("Unsqueeze", weights, np.array([1])), experts)  # (rows, 1, width)
        return self.graph("Squeeze", mixed, np.array([1]))
