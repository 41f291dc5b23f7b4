"""Layer norm and the activations in the graph."""

from collections.abc import Callable

import numpy as np

from shared_bottom.export.graph import Graph, Value
from shared_bottom.export.special import normal_tail
from spec.model import LAYER_NORM_EPS, Activation


def layer_norm(graph: Graph, x: Value, scale: np.ndarray, bias: np.ndarray) -> Value:
    """Layer norm over the last axis. ONNX's operator has its eps in float32, whatever the precision of x."""
    if scale.dtype == np.float32:
        return graph("LayerNormalization", x, scale, bias, axis=-1, epsilon=LAYER_NORM_EPS)
    axis = np.array([-1])
    x = graph("Sub", x, graph("ReduceMean", x, axis))
    variance = graph("ReduceMean", graph("Mul", x, x), axis)
    x = graph("Div", x, graph("Sqrt", graph("Add", variance, np.float64(LAYER_NORM_EPS))))
    return graph("Add", graph("Mul", x, scale), bias)


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
"""Each activation of numbers of this type."""
