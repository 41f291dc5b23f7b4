"""The network in the graph, from its inputs to the outputs of its heads, as `spec.network` describes it."""

from collections.abc import Sequence

import numpy as np

from shared_bottom.export.graph import Graph, Value
from shared_bottom.export.layers import dense
from shared_bottom.export.pieces import Piece
from spec.model import ModelSpec
from spec.network import Gate, Stack, heads, levels
from spec.params import Params


def head_outputs(graph: Graph, model: ModelSpec, params: Params, inputs: Piece) -> dict[str, Value]:
    """What the heads give, by task: (rows, outputs).

    inputs: all of the network's inputs.
    """
    taken: dict[str | None, Value] = {task.name: inputs.value for task in model.tasks}
    taken[None] = inputs.value  # what the shared experts take
    for level in levels(model):
        places = inputs.places if level.reads_inputs else None
        experts = [
            _through(graph, model, params, expert, taken[expert.task.name if expert.task else None], places)
            for expert in level.experts
        ]
        if level.gates:
            side_by_side = [graph("Unsqueeze", expert, np.array([1])) for expert in experts]
            joined = graph("Concat", *side_by_side, axis=1)  # (rows, experts, width)
            owners = [(gate, gate.task.name if gate.task else None) for gate in level.gates]
            taken = {
                owner: _mixed(graph, model, params, gate, taken[owner], joined, len(experts), places)
                for gate, owner in owners
            }
        else:
            by_task = {expert.task.name: x for expert, x in zip(level.experts, experts, strict=True) if expert.task}
            taken = {task.name: by_task.get(task.name, experts[-1]) for task in model.tasks}
    return {
        head.task.name: _through(graph, model, params, head, taken[head.task.name])
        for head in heads(model)
        if head.task
    }


def _through(
    graph: Graph, model: ModelSpec, params: Params, stack: Stack, x: Value, places: Sequence[int] | None = None
) -> Value:
    """The output of layers that follow one another. places: see `dense`, of the first of them."""
    for layer in stack.layers:
        x = dense(graph, model, params, layer, x, places)
        places = None
    return x


def _mixed(
    graph: Graph,
    model: ModelSpec,
    params: Params,
    gate: Gate,
    x: Value,
    experts: Value,
    count: int,
    places: Sequence[int] | None,
) -> Value:
    """The sum of the experts' outputs that a gate weighs: (rows, width).

    x: what the gate looks at, (rows, inputs).
    experts: the outputs of all `count` experts of the level, (rows, experts, width).
    """
    weights = graph("Softmax", dense(graph, model, params, gate.layer, x, places), axis=-1)
    if len(gate.experts) < count:
        experts = graph("Gather", experts, np.array(gate.experts), axis=1)
    mixed = graph("MatMul", graph("Unsqueeze", weights, np.array([1])), experts)  # (rows, 1, width)
    return graph("Squeeze", mixed, np.array([1]))
