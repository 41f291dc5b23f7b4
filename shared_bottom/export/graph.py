"""An ONNX graph while it is written: nodes and constants that name each other."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Value = str
"""The name of a tensor in the graph."""
Operand = Value | np.ndarray | np.generic
"""What a node takes: a tensor of the graph, or numbers that become a constant of it."""
TRADITIONAL = "ai.onnx.ml"
"""The domain of ONNX's operators for tables: `LabelEncoder`, `TreeEnsembleRegressor`."""

SMALL = 64
"""Constants of so many numbers are compared with each other."""


class Graph:
    """Collects nodes in the order in which they are computed.

    taken: the names of the graph's inputs and outputs, which no other tensor may have.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], Value] = {}

    def __call__(
        self, operator: str, *operands: Operand, output: Value | None = None, domain: str = "", **attributes: Any
    ) -> Value:
        """Add a node with one output, and return the output's name.

        output: what it is called if it is an output of the graph.
        domain, attributes: those of the operator, as ONNX's documentation has them.
        """
        name = output or self._unused(operator)
        operands_by_name = [self._named(operand) for operand in operands]
        node = helper.make_node(operator, operands_by_name, [name], name, domain=domain, **attributes)
        self._nodes.append(node)
        return name

    def stacked(self, columns: Sequence[Value]) -> Value:
        """Tensors (rows,) side by side: (rows, columns)."""
        if len(columns) == 1:
            return self("Unsqueeze", columns[0], np.array([1]))
        joined = self("Reshape", self("Concat", *columns, axis=0), np.array([len(columns), -1]))
        return self("Transpose", joined, perm=[1, 0])

    def column(self, matrix: Value, place: int, output: Value | None = None) -> Value:
        """A column (rows,) of a matrix (rows, columns)."""
        return self("Gather", matrix, np.array(place), axis=1, output=output)

    def to(self, kind: type[np.generic] | np.dtype, value: Value) -> Value:
        """A tensor as numbers of another type."""
        return self("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def proto(self, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]) -> GraphProto:
        """The graph with these inputs and outputs."""
        return helper.make_graph(self._nodes, "shared_bottom", inputs, outputs, self._constants)

    def constant(self, array: np.ndarray) -> Value:
        """Numbers or texts that are part of the graph."""
        self._constants.append(numpy_helper.from_array(array, self._unused("constant")))
        return self._constants[-1].name

    def _named(self, operand: Operand) -> Value:
        """The operand by its name. Small constants that are equal are one."""
        if isinstance(operand, str):
            return operand
        array = np.asarray(operand)
        if array.dtype == object or array.size > SMALL:
            return self.constant(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.constant(array)
        return self._known[key]

    def _unused(self, name: str) -> Value:
        number = len(self._nodes) + len(self._constants)
        while f"{name}_{number}" in self._taken:
            number += 1
        self._taken.add(f"{name}_{number}")
        return f"{name}_{number}"
