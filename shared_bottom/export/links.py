"""From the heads' outputs to predictions in the units and classes of the table's columns, in float64."""

from collections.abc import Callable, Mapping

import numpy as np

from shared_bottom.export.graph import Graph, Value
from shared_bottom.export.special import expm1, softplus
from shared_bottom.tables.columns import FittedColumns
from spec.losses import SCALE_FLOOR, Link
from spec.tasks import TaskSpec, given_first


def lognormal_parts(graph: Graph, outputs: Value) -> list[Value]:
    """The p, μ and σ of a zero-inflated lognormal distribution, (rows, 1) each, of its head's outputs (rows, 3)."""
    logit, location, scale = (graph("Gather", outputs, np.array([place]), axis=1) for place in range(3))
    return [graph("Sigmoid", logit), location, graph("Max", softplus(graph, scale), np.float64(SCALE_FLOOR))]


def lognormal_mean(graph: Graph, outputs: Value) -> Value:
    """The mean of that distribution, (rows, 1): with log p = -softplus(-z), which no product underflows."""
    _, location, scale = lognormal_parts(graph, outputs)
    logit = graph("Gather", outputs, np.array([0]), axis=1)
    log = graph("Add", location, graph("Div", graph("Mul", scale, scale), np.float64(2)))
    return graph("Exp", graph("Sub", log, softplus(graph, graph("Neg", logit))))


LINKS: dict[Link, Callable[[Graph, Value], Value]] = {
    "identity": lambda graph, outputs: outputs,
    "sigmoid": lambda graph, logits: graph("Sigmoid", logits),
    "softmax": lambda graph, logits: graph("Softmax", logits, axis=-1),
    "exponential": lambda graph, logs: graph("Exp", logs),
    "zero_inflated_lognormal": lognormal_mean,
}
"""From a head's outputs to the task's predictions, (rows, outputs) both."""


def predictions(graph: Graph, columns: FittedColumns, outputs: Mapping[str, Value], dtype: np.dtype) -> None:
    """Add the graph's outputs, (rows,) each, by the names of `FittedColumns.prediction_columns`.

    outputs: what the heads give, by task (rows, outputs).
    dtype: that of the parameters.
    """
    exact = {name: graph.to(np.float64, value) for name, value in outputs.items()}
    predicted: dict[str, Value] = {}
    names = columns.prediction_columns()
    for task in given_first(columns.tasks):
        link, parts = task.objective.link, list[Value]()
        alone = LINKS[link](graph, exact[task.name])
        predicted[task.name] = alone
        if task.given:
            predicted[task.name], parts = graph("Mul", predicted[task.given], alone), [alone]
        elif link == "zero_inflated_lognormal":
            parts = lognormal_parts(graph, exact[task.name])
        written = [name for name in names[task.name] if name not in task.parts]
        _write(graph, columns, task, predicted[task.name], written, dtype)
        for name, part in zip(task.parts, parts, strict=True):
            graph.column(graph.to(dtype, part), 0, output=name)


def _write(
    graph: Graph, columns: FittedColumns, task: TaskSpec, predicted: Value, names: list[str], dtype: np.dtype
) -> None:
    """The outputs of one task but for its parts."""
    if task.traits.label == "class":
        probabilities = graph.to(dtype, predicted)
        likeliest, *names = names
        values = np.array(columns.class_values(task.name))
        values = values.astype(object) if values.dtype.kind == "U" else values
        graph("Gather", values, graph("ArgMax", probabilities, axis=1, keepdims=0), output=likeliest)
    elif task.traits.label == "number":
        probabilities = _restored(graph, columns, task, predicted, dtype)
    else:
        probabilities = graph.to(dtype, predicted)
    for place, name in enumerate(names):
        graph.column(probabilities, place, output=name)


def _restored(graph: Graph, columns: FittedColumns, task: TaskSpec, predicted: Value, dtype: np.dtype) -> Value:
    """See `FittedColumns.restore`: float64 (rows, outputs)."""
    label, scales = columns.data.labels[task.name], columns.labels[task.name]
    if task.objective.link != "identity":  # a mean that is too large for the parameters' precision is infinite
        predicted = graph.to(np.float64, graph.to(dtype, predicted))
    if label.standardised(task.objective):
        predicted = graph("Mul", predicted, np.array([scale.deviation for scale in scales]))
        predicted = graph("Add", predicted, np.array([scale.mean for scale in scales]))
    return expm1(graph, predicted) if label.transform == "log1p" else predicted
