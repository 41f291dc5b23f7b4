"""The arithmetic of a training step and of predictions, counted from the spec."""

from collections.abc import Iterator

from spec.model import ModelSpec
from spec.network import Layer, heads, layers, levels


def layer_flops(model: ModelSpec, rows: int) -> dict[str, int]:
    """Floating-point operations of each linear layer in one training step on `rows` rows, in network order.

    A product of (rows, in) and (in, out) takes 2·rows·in·out. Each layer has three of them: its outputs, and the
    gradients of its kernel and of its inputs; one that reads the inputs needs no gradient of the numeric columns and of
    frozen embeddings. To a gate belongs the sum that it weighs: 2·rows·experts·width, and as much for the gradient of
    its weights and for that of the experts' outputs.
    What training leaves as it is by `TrainSpec.frozen` counts as if it moved.
    Activations, norms, look-ups, losses and the optimizer are left out: where arithmetic counts, they are little.
    """
    fixed = model.numeric + sum(feature.dimension for feature in model.categorical if not feature.trainable)
    flops = {}
    for layer, reads_inputs, mixed in _products(model):
        with_gradient = layer.inputs - (fixed if reads_inputs else 0)
        flops[layer.name] = 2 * rows * (layer.outputs * (2 * layer.inputs + with_gradient) + 3 * mixed)
    return {layer.name: flops[layer.name] for layer in layers(model)}


def step_flops(model: ModelSpec, rows: int) -> int:
    """Floating-point operations of the matrix products of one training step on `rows` rows."""
    return sum(layer_flops(model, rows).values())


def prediction_flops(model: ModelSpec, rows: int) -> int:
    """Floating-point operations of the matrix products that predict `rows` rows."""
    return sum(2 * rows * (layer.outputs * layer.inputs + mixed) for layer, _, mixed in _products(model))


def _products(model: ModelSpec) -> Iterator[tuple[Layer, bool, int]]:
    """Each layer, whether it reads the inputs, and how many numbers of a row it weighs besides, as a gate does."""
    for level in levels(model):
        for expert in level.experts:
            for i, layer in enumerate(expert.layers):
                yield layer, expert.reads_inputs and i == 0, 0
        for gate in level.gates:
            yield gate.layer, level.reads_inputs, len(gate.experts) * model.trunk[-1]
    for head in heads(model):
        for layer in head.layers:
            yield layer, False, 0
