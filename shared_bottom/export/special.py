"""Functions in float64 that ONNX has no operator for, or that ONNX Runtime computes in float32 alone."""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev, chebyshev
from scipy.special import erfcx, ndtri

from shared_bottom.export.graph import Graph, Value
from shared_bottom.tables.quantiles import SMALLEST_SHARE

ONE, TWO = np.float64(1), np.float64(2)


def log1p(graph: Graph, x: Value) -> Value:
    """log(1 + x): the log of the rounded sum, and what the rounding has left out divided by the sum."""
    total = graph("Add", x, ONE)
    lost = graph("Sub", x, graph("Sub", total, ONE))
    return graph("Add", graph("Log", total), graph("Div", lost, total))


def expm1(graph: Graph, x: Value) -> Value:
    """e^x - 1 = tanh(x/2)·(e^x + 1), which loses no digits where x is small."""
    return graph("Mul", graph("Tanh", graph("Div", x, TWO)), graph("Add", graph("Exp", x), ONE))


def softplus(graph: Graph, x: Value) -> Value:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), where nothing overflows."""
    return graph("Add", graph("Relu", x), log1p(graph, graph("Exp", graph("Neg", graph("Abs", x)))))


def normal_inverse(graph: Graph, shares: Value) -> Value:
    """Φ⁻¹ of shares in [SMALLEST_SHARE, 1 - SMALLEST_SHARE]: of √(-log min(p, 1-p)) it is a polynomial."""
    smaller = graph("Min", shares, graph("Sub", ONE, shares))
    root = graph("Sqrt", graph("Neg", graph("Log", smaller)))
    ends = np.sqrt(np.log(2.0)), np.sqrt(-np.log(SMALLEST_SHARE))
    size = polynomial(graph, root, lambda r: -ndtri(np.exp(-(r**2))), ends, degree=28)
    return graph("Mul", size, graph("Sign", graph("Sub", shares, np.float64(0.5))))


def normal_tail(graph: Graph, x: Value) -> Value:
    """1 - Φ(x) for x ≥ 0: e^(-x²/2)·erfcx(x/√2)/2, where erfcx is a polynomial of (x - c)/(x + c)."""
    centre, far = 3 * np.sqrt(2), 40.0  # beyond which e^(-x²/2) is 0
    x = graph("Min", x, np.float64(far))
    place = graph("Div", graph("Sub", x, centre), graph("Add", x, centre))

    def scaled(place: np.ndarray) -> np.ndarray:
        return erfcx(centre * (1 + place) / (1 - place) / np.sqrt(2)) / 2

    ends = -1.0, (far - centre) / (far + centre)
    decay = graph("Exp", graph("Div", graph("Mul", x, x), -TWO))
    return graph("Mul", decay, polynomial(graph, place, scaled, ends, degree=24))


def polynomial(
    graph: Graph, x: Value, function: Callable[[np.ndarray], np.ndarray], ends: tuple[float, float], degree: int
) -> Value:
    """A smooth function of one variable, by the polynomial that equals it in the Chebyshev points between two ends.

    x: float64, of any shape, within the ends.
    """
    low, high = map(float, ends)
    coefficients = chebyshev.cheb2poly(Chebyshev.interpolate(function, degree, [low, high]).coef)
    scaled = graph("Sub", graph("Mul", x, TWO / (high - low)), np.float64((high + low) / (high - low)))
    powers = graph("Pow", graph("Unsqueeze", scaled, np.array([-1])), np.arange(degree + 1.0))
    return graph("Squeeze", graph("MatMul", powers, coefficients[:, None]), np.array([-1]))
