"""The network's layers in the graph: dense, layer norm, the activations."""

from collections.abc import Callable, Sequence

import numpy as np

from shared_bottom.export.graph import Graph, Value
from shared_bottom.export.special import normal_tail
from spec.model import LAYER_NORM_EPS, Activation, ModelSpec
from spec.network import Layer
from spec.params import Params


def _gelu(graph: Graph, x: Value, dtype: np.dtype) -> Value:
    """x·Φ(x) = max(x, 0) - |x|·(1 - Φ(|x|)); ONNX Runtime computes its operator in float32 alone."""
    if dtype == np.float32:
        return graph("Gelu", x)
    size = graph("Abs", x)
    return graph("Sub", graph("Relu", x), graph("Mul", size, normal_tail(graph, size)))


ACTIVATIONS: dict[Activation, Callable[[Graph, Value, np.dtype], Value]] = {
    "relu": lambda graph, x, dtype: graph("Relu", x),
    "gelu": _gelu,
    "silu": lambda graph, x, dtype: graph("Mul", x, graph("Sigmoid", x)),
    "tanh": lambda graph, x, dtype: graph("Tanh", x),
}


def _layer_norm(graph: Graph, x: Value, scale: np.ndarray, bias: np.ndarray) -> Value:
    """Layer norm; ONNX's operator knows its eps in float32 alone."""
    if scale.dtype == np.float32:
        return graph("LayerNormalization", x, scale, bias, axis=-1, epsilon=LAYER_NORM_EPS)
    axis = np.array([-1])
    x = graph("Sub", x, graph("ReduceMean", x, axis))
    variance = graph("ReduceMean", graph("Mul", x, x), axis)
    x = graph("Div", x, graph("Sqrt", graph("Add", variance, np.float64(LAYER_NORM_EPS))))
    return graph("Add", graph("Mul", x, scale), bias)


def dense(
    graph: Graph, model: ModelSpec, params: Params, layer: Layer, x: Value, places: Sequence[int] | None = None
) -> Value:
    """A linear layer and, if it is hidden, layer norm if asked and the activation.

    x: (rows, inputs).
    places: which of the layer's inputs each column of x is; None: they are in order.
    """
    kernel = params[f"{layer.name}.kernel"]
    if places is not None:
        kernel = kernel[list(places)]
    if not layer.bias:
        return graph("MatMul", x, kernel)
    x = graph("Gemm", x, kernel, params[f"{layer.name}.bias"])
    if not layer.hidden:
        return x
    if model.normalization == "layer":
        x = _layer_norm(graph, x, params[f"{layer.name}.norm.scale"], params[f"{layer.name}.norm.bias"])
    return ACTIVATIONS[model.activation](graph, x, kernel.dtype)
