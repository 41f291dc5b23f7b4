"""The arithmetic of a training step and of predictions, counted from the spec."""

from spec.model import ModelSpec
from spec.params import stacks


def layer_flops(model: ModelSpec, rows: int) -> dict[str, int]:
    """Floating-point operations of each linear layer in one training step on `rows` rows, in network order.

    A product of (rows, in) and (in, out) takes 2·rows·in·out. Each layer has three of them: its outputs, and the
    gradients of its kernel and of its inputs; one that reads the inputs needs no gradient of the numeric columns and of
    frozen embeddings.
    Activations, norms, look-ups, losses and the optimizer are left out: where arithmetic counts, they are little.
    """
    fixed = model.numeric + sum(feature.dimension for feature in model.categorical if not feature.trainable)
    flops = {}
    for stack in stacks(model):
        for i, layer in enumerate(stack.layers):
            with_gradient = layer.inputs - (fixed if stack.reads_inputs and i == 0 else 0)
            flops[layer.name] = 2 * rows * layer.outputs * (2 * layer.inputs + with_gradient)
    return flops


def step_flops(model: ModelSpec, rows: int) -> int:
    """Floating-point operations of the matrix products of one training step on `rows` rows."""
    return sum(layer_flops(model, rows).values())


def prediction_flops(model: ModelSpec, rows: int) -> int:
    """Floating-point operations of the matrix products that predict `rows` rows."""
    return sum(2 * rows * layer.outputs * layer.inputs for stack in stacks(model) for layer in stack.layers)
