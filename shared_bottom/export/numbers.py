"""The numeric inputs of a table in the graph: what `shared_bottom.tables.encoding` makes of them, in float64.

Inputs that are treated alike lie side by side in one matrix, because a node takes as long for one number as for ten.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby, zip_longest
from typing import NamedTuple

import numpy as np
from onnx import numpy_helper

from shared_bottom.export.graph import TRADITIONAL, Graph, Value
from shared_bottom.export.pieces import Piece
from shared_bottom.export.special import log1p, normal_inverse
from shared_bottom.export.times import Times
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.missing import missing_of
from shared_bottom.tables.quantiles import SMALLEST_SHARE
from spec.columns import NumericColumn
from spec.table import TableSpec


class Source(NamedTuple):
    """A numeric input of the network before anything is done with it."""

    column: NumericColumn
    """What is done. A part of a time is a column without options."""
    value: Value
    """float64 (rows,)."""
    missing: Sequence[float]
    """The numbers that stand for a missing value, besides NaN."""

    @property
    def treatment(self) -> tuple[str, str, bool]:
        """Equal for inputs that one matrix can hold."""
        return self.column.transform, self.column.distribution, self.column.bins is not None


def numeric_pieces(
    graph: Graph, columns: FittedColumns, numbers: Mapping[str, Value], times: Mapping[str, Times], dtype: np.dtype
) -> list[Piece]:
    """The network's numeric inputs, and the indicators of missing values among them.

    numbers, times: the graph's inputs by column.
    dtype: that of the parameters.
    """
    data, pieces = columns.data, []
    sources = []
    for column in data.numeric:
        sources.append(Source(column, numbers[column.name], _missing_numbers(data, column)))
    for time in data.time:
        for name, part in time.numeric_parts.items():
            sources.append(Source(NumericColumn(name=name), times[time.name].number(part), ()))
    widths = [columns.width(name) for name in data.numeric_inputs]
    starts = dict(zip(data.numeric_inputs, np.cumsum([0, *widths]).tolist(), strict=False))
    indicators = {name: sum(widths) + place for place, name in enumerate(columns.indicators)}
    for _, group in groupby(sorted(sources, key=lambda source: source.treatment), key=lambda source: source.treatment):
        alike = list(group)
        names = [source.column.name for source in alike]
        raw = _with_nan(graph, graph.stacked([source.value for source in alike]), alike)
        missing = graph("IsNaN", raw)
        encoded = _encoded(graph, columns, [source.column for source in alike], raw, missing)
        places = [starts[name] + place for name in names for place in range(columns.width(name))]
        # Rows of a table are float32 before they are the network's inputs, whatever the precision of the parameters.
        pieces.append(Piece(graph.to(dtype, graph.to(np.float32, encoded)), places))
        marked = [name for name in names if name in indicators]
        if marked:
            chosen = graph("Gather", missing, np.array([names.index(name) for name in marked]), axis=1)
            pieces.append(Piece(graph.to(dtype, chosen), [indicators[name] for name in marked]))
    return pieces


def _missing_numbers(data: TableSpec, column: NumericColumn) -> list[float]:
    """The numbers that stand for a missing value: -99.9 and, of a column that was float32, what that makes of -99.9."""
    none = missing_of(data, column.missing).numbers
    with np.errstate(over="ignore"):
        rounded = none.astype(np.float32).astype(np.float64)
    every = np.concatenate([none, rounded[np.isinf(rounded) == np.isinf(none)]])
    return np.unique(every[~np.isnan(every)]).tolist()


def _with_nan(graph: Graph, numbers: Value, sources: Sequence[Source]) -> Value:
    """The numbers with NaN where one stands for a missing value."""
    for of_columns in zip_longest(*(source.missing for source in sources), fillvalue=np.nan):
        none = graph("Equal", numbers, np.array(of_columns))
        numbers = graph("Where", none, np.float64(np.nan), numbers)
    return numbers


def _encoded(graph: Graph, columns: FittedColumns, alike: Sequence[NumericColumn], raw: Value, missing: Value) -> Value:
    """float64 (rows, inputs of these columns), NaN for what predicting refuses.

    alike: columns of one treatment.
    raw, missing: their numbers, and where these are missing: (rows, columns) both.
    """
    scales, first, numbers = [columns.numeric[column.name] for column in alike], alike[0], raw
    refused = graph("IsInf", raw)
    if first.transform == "log1p":
        numbers, refused = log1p(graph, raw), graph("Or", refused, graph("LessOrEqual", raw, np.float64(-1)))
    elif first.transform == "quantile":
        numbers = _shares(graph, [columns.quantiles[column.name] for column in alike], raw)
        if first.distribution == "normal":
            clipped = graph("Clip", numbers, np.float64(SMALLEST_SHARE), np.float64(1 - SMALLEST_SHARE))
            numbers = normal_inverse(graph, clipped)
    numbers = graph("Where", missing, np.array([scale.mean for scale in scales]), numbers)
    if first.bins is not None:
        edges = [columns.bins[column.name] for column in alike]
        columns_of_bins = np.repeat(np.arange(len(alike)), [columns.width(column.name) for column in alike])
        numbers, refused = (graph("Gather", value, columns_of_bins, axis=1) for value in (numbers, refused))
        return graph("Where", refused, np.float64(np.nan), _binned(graph, edges, numbers))
    standardise = np.array([column.standardise for column in alike])
    means = np.where(standardise, [scale.mean for scale in scales], 0.0)
    deviations = np.where(standardise, [scale.deviation for scale in scales], 1.0)
    numbers = graph("Div", graph("Sub", numbers, means), deviations)
    return graph("Where", refused, np.float64(np.nan), numbers)


def _binned(graph: Graph, edges: Sequence[Sequence[float]], numbers: Value) -> Value:
    """See `shared_bottom.tables.quantiles.piecewise_linear`. With a single edge the bin is infinitely wide.

    numbers: a column's numbers once for each of its bins.
    """
    lower = [np.array(of_column[:-1] or (0.0,)) for of_column in edges]
    upper = [np.array(of_column[1:] or (np.inf,)) for of_column in edges]
    above = graph("Sub", numbers, np.concatenate(lower))
    with np.errstate(over="ignore"):
        share = graph("Div", above, np.concatenate(upper) - np.concatenate(lower))
    return graph("Clip", share, np.float64(0), np.float64(1))


def _shares(graph: Graph, quantiles: Sequence[Sequence[float]], numbers: Value) -> Value:
    """The quantile transform with distribution uniform: see `shared_bottom.tables.quantiles.spread`.

    A number's share is looked up by how many of the distinct quantiles are at most as large, which trees count: between
    two of them it grows linearly from the highest level of the one to the lowest level of the other.
    """
    distinct, tables = [], []
    for of_column in quantiles:
        ascending, levels = np.array(of_column), np.linspace(0, 1, len(of_column))
        points, first = np.unique(ascending, return_index=True)
        low, high = levels[first], levels[np.append(first[1:], len(ascending)) - 1]
        with np.errstate(over="ignore"):
            slope = np.append((low[1:] - high[:-1]) / np.diff(points), 0.0)
        distinct.append(points)
        tables.append(np.stack([points, high, slope, (low + high) / 2]))
        tables[-1] = np.insert(tables[-1], 0, 0.0, axis=1)  # of numbers below all quantiles
    starts = np.cumsum([0, *(table.shape[1] for table in tables)])[:-1]
    entry = graph("Add", graph.to(np.int64, _counts(graph, distinct, numbers)), starts)
    point, level, growth, at_point = (graph("Gather", row, entry) for row in np.concatenate(tables, axis=1))
    grown = graph("Add", level, graph("Mul", growth, graph("Sub", numbers, point)))
    return graph("Where", graph("Equal", numbers, point), at_point, grown)


def _counts(graph: Graph, thresholds: Sequence[np.ndarray], numbers: Value) -> Value:
    """How many of a column's thresholds, which ascend, are at most as large as each number: float32 (rows, columns).

    It is a search by halves, for each column by a tree whose nodes are numbered as they are met.
    """
    nodes: dict[str, list[int]] = {name: [] for name in ("tree", "node", "feature", "true", "false")}
    values, modes, leaves = list[float](), list[str](), list[tuple[int, int, int]]()

    def grow(tree: int, low: int, high: int) -> int:
        """The node that finds a count from `low` to `high`."""
        node = len(values) - first
        middle = (low + high + 1) // 2
        is_leaf = low == high
        for name, number in zip(nodes, (tree, node, tree, 0, 0), strict=True):
            nodes[name].append(number)
        values.append(0.0 if is_leaf else thresholds[tree][middle - 1])
        modes.append("LEAF" if is_leaf else "BRANCH_LT")
        if is_leaf:
            leaves.append((tree, node, low))
        else:
            nodes["true"][first + node] = grow(tree, low, middle - 1)
            nodes["false"][first + node] = grow(tree, middle, high)
        return node

    for tree, of_column in enumerate(thresholds):
        first = len(values)
        grow(tree, 0, len(of_column))
    trees, leaf_nodes, counts = zip(*leaves, strict=True)
    return graph(
        "TreeEnsembleRegressor",
        numbers,
        domain=TRADITIONAL,
        n_targets=len(thresholds),
        nodes_treeids=nodes["tree"],
        nodes_nodeids=nodes["node"],
        nodes_featureids=nodes["feature"],
        nodes_truenodeids=nodes["true"],
        nodes_falsenodeids=nodes["false"],
        nodes_modes=modes,
        nodes_values_as_tensor=numpy_helper.from_array(np.array(values)),
        target_treeids=list(trees),
        target_nodeids=list(leaf_nodes),
        target_ids=list(trees),
        target_weights_as_tensor=numpy_helper.from_array(np.array(counts, np.float64)),
    )
