"""The ids of a table's values in the graph, and their embeddings.

Tables of one dimension are joined, so that one look-up serves them all. A value is then the number of a row in a joined
table, and unknown values have the first row of their own table.
"""

from collections.abc import Mapping
from itertools import accumulate

import numpy as np

from shared_bottom.export.graph import TRADITIONAL, Graph, Value
from shared_bottom.export.pieces import Piece
from shared_bottom.export.times import Times
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.missing import missing_of
from shared_bottom.tables.values import SPELLINGS, canonical
from spec.columns import CategoricalColumn
from spec.model import CategoricalFeature, ModelSpec
from spec.params import Params

NONE = np.int64(-1)
"""Stands where a list has no value."""
ZERO = np.int64(0)


def embedded_pieces(
    graph: Graph,
    columns: FittedColumns,
    model: ModelSpec,
    params: Params,
    values: Mapping[str, Value],
    times: Mapping[str, Times],
) -> list[Piece]:
    """The embeddings of all categorical features.

    model: the network, with the columns as its inputs.
    values, times: the graph's inputs by column.
    """
    starts = accumulate((feature.dimension for feature in model.categorical), initial=model.numeric)
    places = {f: list(range(start, start + f.dimension)) for f, start in zip(model.categorical, starts, strict=False)}
    tables: dict[int, dict[str, np.ndarray]] = {}
    for feature in model.categorical:
        tables.setdefault(feature.dimension, {})[feature.parameter] = params[feature.parameter]
    first_rows: dict[str, int] = {}
    for joined in tables.values():
        first_rows |= zip(joined, accumulate(map(len, joined.values()), initial=0), strict=False)
    rows = _rows(graph, columns, model, values, times, first_rows)
    pieces, constants = [], {}
    for dimension, joined in tables.items():
        constants[dimension] = table = graph.constant(np.concatenate(list(joined.values())))
        features = [feature for feature in model.categorical if feature.dimension == dimension]
        single = [feature for feature in features if feature.length == 1]
        if single:
            embedded = graph("Gather", table, graph.stacked([rows[feature] for feature in single]))
            side_by_side = graph("Reshape", embedded, np.array([-1, len(single) * dimension]))
            pieces.append(Piece(side_by_side, [place for feature in single for place in places[feature]]))
    for column, feature in zip(columns.data.categorical, model.categorical, strict=False):
        if feature.length > 1:
            dtype = params[feature.parameter].dtype
            embedding = _pooled(graph, column, constants[feature.dimension], rows[feature], dtype)
            pieces.append(Piece(embedding, places[feature]))
    return pieces


def _rows(
    graph: Graph,
    columns: FittedColumns,
    model: ModelSpec,
    values: Mapping[str, Value],
    times: Mapping[str, Times],
    first_rows: Mapping[str, int],
) -> dict[CategoricalFeature, Value]:
    """By feature, the rows of its joined table, int64: (rows,), or (rows, values) and NONE where there is none.

    first_rows: of each table, by the name of its parameter, where it begins in the joined one.
    """
    firsts = [first_rows[feature.parameter] for feature in model.categorical]
    rows = []
    for column, first in zip(columns.data.categorical, firsts, strict=False):
        value = values[column.name]
        if column.buckets is None:
            rows.append(_rows_of_texts(graph, columns, column, value, first))
        elif column.length == 1:
            rows.append(graph("Add", graph("Max", value, ZERO), np.int64(first)))
        else:
            there = graph("GreaterOrEqual", value, ZERO)
            rows.append(graph("Where", there, graph("Add", value, np.int64(first)), NONE))
    parts = [(time.name, part) for time in columns.data.time for part in time.categorical_parts.values()]
    for (time, part), first in zip(parts, firsts[len(rows) :], strict=True):
        rows.append(times[time].rows(part, first))
    return dict(zip(model.categorical, rows, strict=True))


def _rows_of_texts(graph: Graph, columns: FittedColumns, column: CategoricalColumn, texts: Value, first: int) -> Value:
    none = missing_of(columns.data, column.missing).canonical
    rows = {canonical(value): first + i for i, value in enumerate(columns.vocabularies[column.table_name], start=1)}
    rows = {text: row for text, row in rows.items() if text not in none}
    if column.length > 1:
        rows |= dict.fromkeys([*none, ""], int(NONE))
    rows |= {spelling: rows[text] for spelling, text in SPELLINGS.items() if text in rows}
    rows = rows or {"": first}  # a vocabulary may be empty, an encoder's may not
    return graph(
        "LabelEncoder",
        texts,
        domain=TRADITIONAL,
        keys_strings=list(rows),
        values_int64s=list(rows.values()),
        default_int64=first,
    )


def _pooled(graph: Graph, column: CategoricalColumn, table: Value, rows: Value, dtype: np.dtype) -> Value:
    """The embedding (rows, dimension) of the values that are taken from each row's list.

    rows: int64 (rows, values), in which NONE may stand anywhere.
    """
    axis, zero = np.array([1]), dtype.type(0)
    there = graph("GreaterOrEqual", rows, ZERO)
    ones = graph.to(np.int64, there)
    place, count = graph("CumSum", ones, np.array(1)), graph("ReduceSum", ones, axis)
    length = np.int64(column.length)
    if column.keep == "last":
        in_time = graph("Greater", place, graph("Sub", count, length))
    else:
        in_time = graph("LessOrEqual", place, length)
    taken = graph("Unsqueeze", graph("And", there, in_time), np.array([2]))
    embedded = graph("Gather", table, graph("Max", rows, ZERO))  # (rows, values, dimension)
    if column.pooling == "max":
        largest = graph("ReduceMax", graph("Where", taken, embedded, dtype.type(-np.inf)), axis, keepdims=0)
        return graph("Where", graph("Greater", count, ZERO), largest, zero)
    total = graph("ReduceSum", graph("Where", taken, embedded, zero), axis, keepdims=0)
    if column.pooling == "sum":
        return total
    return graph("Div", total, graph.to(dtype, graph("Clip", count, np.int64(1), length)))
