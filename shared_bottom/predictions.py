"""What a network's outputs mean for a table: columns with units and classes, and metrics in these units."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shared_bottom.run.metrics import Evaluation
from shared_bottom.tables.columns import FittedColumns
from spec.data import Dataset
from spec.model import ModelSpec
from spec.params import Params


def prediction_arrays(columns: FittedColumns, predictions: Params) -> dict[str, Any]:
    """The columns with the predictions of all tasks, as pyarrow arrays by name.

    columns: the units and the classes of the labels.
    predictions: the predictions by task, as `Backend.predict` returns them.
    """
    arrays: dict[str, Any] = {}
    names = columns.prediction_columns()
    for task in columns.tasks:
        values = columns.restore(task.name, predictions[task.name])
        of_task: list[Any] = list(values.reshape(len(values), -1).T)
        if task.traits.label == "class":
            of_task = [pa.array(columns.class_values(task.name)).take(pa.array(values.argmax(axis=1))), *of_task]
        of_task += [predictions[part] for part in task.parts]
        arrays |= dict(zip(names[task.name], map(pa.array, of_task), strict=True))
    return arrays


def in_column_units(columns: FittedColumns, values: Mapping[str, np.ndarray]) -> Params:
    """Predictions or labels by task, with those of regression tasks converted to the units of their label columns.

    columns: what was learnt about the table's columns, which includes the scales of the labels.
    values: the predictions or the labels, by task. What predictions are made of stays as it is.
    """
    tasks = columns.data.labels
    return {name: columns.restore(name, array) if name in tasks else array for name, array in values.items()}


def evaluation_in_column_units(
    columns: FittedColumns, model: ModelSpec, pieces: Iterable[tuple[Dataset, Params]]
) -> Evaluation:
    """The metrics, those of regression tasks in the units of their label columns, but for the loss, which is in the
    unit that the network learns.

    columns: what was learnt about the table's columns.
    model: the network.
    pieces: encoded rows, a piece at a time, and the predictions for them by task, as `Backend.predict` returns them.
    """
    return Evaluation(model, pieces, columns.restore)
