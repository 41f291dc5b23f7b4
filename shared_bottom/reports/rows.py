"""The rows that a report evaluates for each task: those that have a label of the task and a weight above 0."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from shared_bottom.run.metrics import counted, counted_labels
from spec.data import Dataset
from spec.model import ModelSpec
from spec.tasks import TaskSpec


class TaskRows(NamedTuple):
    """The n rows that are evaluated for one task."""

    task: TaskSpec
    label: np.ndarray
    """(n,), or (n, outputs) for regression."""
    predicted: np.ndarray
    """float64. binary: (n,), the probability. regression: (n, outputs). multiclass: (n, outputs), probabilities."""
    weight: np.ndarray | None
    """(n,), or None if the rows have no weights."""
    outputs: tuple[str, ...]
    """The names of the prediction's outputs in order: of the classes, of the numbers of a regression, or of levels."""
    group: np.ndarray | None = None
    """(n,), the rows' groups, if there are any."""

    @property
    def finite(self) -> bool:
        """Whether every prediction is finite."""
        return bool(np.isfinite(self.predicted).all())


def rows_by_task(
    model: ModelSpec,
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    sample_weight: np.ndarray | None,
    classes: Mapping[str, Sequence[str]] | None = None,
    task_weight: Mapping[str, np.ndarray] | None = None,
    group: np.ndarray | None = None,
) -> list[TaskRows]:
    """The rows to evaluate for each task that has labels and predictions, in the order of the model's tasks.

    model: the network whose tasks they are.
    labels: the labels of N rows by task, as in a `Dataset`. Rows without a label of the task are left out.
    predictions: the predictions for the same rows by task, as `Backend.predict` returns them. What it gives beside a
    task's prediction is not looked at.
    sample_weight: the weights of the rows, (N,), or None. Rows whose weight is 0 are left out.
    classes: the names of the outputs by task, which are classes for a multiclass task. The outputs of a task that is
    not in it are numbered, or called by their levels.
    task_weight: what the rows' weights are multiplied by for a task, (N,) by task, as in a `Dataset`.
    group: the rows' groups (N,), as in a `Dataset`, or None.

    Raises ValueError, which names the argument, if a task has labels but no predictions or predictions but no labels,
    if there is no such task, or if an array has the wrong shape.
    """
    tasks = {task.name: task for task in model.tasks}
    parts = {part for task in model.tasks for part in task.parts}
    predictions = {name: predicted for name, predicted in predictions.items() if name not in parts}
    for field, arrays, arrays_of_other in (("labels", labels, predictions), ("predictions", predictions, labels)):
        for name in arrays:
            if name not in tasks:
                raise ValueError(f"{field}: expected tasks among {', '.join(tasks)}, got {name!r}")
        for name in arrays_of_other:
            if name not in arrays:
                raise ValueError(f"{field}: expected an array for task {name!r}, got none")
    evaluated = []
    for name, task in tasks.items():
        if name not in labels:
            continue
        label, predicted = np.ma.asanyarray(labels[name]), np.asarray(predictions[name])
        rows = len(label)
        shapes = {
            "labels": (label, task.traits.label_per_output, task.outputs),
            "predictions": (predicted, task.prediction_per_output, task.prediction_outputs),
        }
        for field, (array, per_output, width) in shapes.items():
            expected = (rows, width) if per_output else (rows,)
            if array.shape != expected and not (
                field == "labels" and per_output and label.shape == (rows,) and task.outputs == 1
            ):
                raise ValueError(f"{field}[{name!r}]: expected shape {expected}, got {array.shape}")
        further = {task: weight for task, weight in (task_weight or {}).items() if task == name}
        of_rows = {"sample_weight": sample_weight, f"task_weight[{name!r}]": further.get(name), "group": group}
        for field, given in of_rows.items():
            if given is not None and given.shape != (rows,):
                raise ValueError(f"{field}: expected shape {(rows,)}, got {given.shape}")
        data = Dataset(
            numeric=np.empty((rows, 0)),
            labels={name: label},
            sample_weight=sample_weight,
            task_weight=further,
        )
        evaluated_label, weight = counted_labels(task, data)
        evaluated_prediction = predicted[counted(task, data)].astype(np.float64)
        outputs = tuple((classes or {}).get(name) or map(str, task.objective.quantiles or range(task.outputs)))
        of_group = None if group is None else group[counted(task, data)]
        evaluated.append(TaskRows(task, evaluated_label, evaluated_prediction, weight, outputs, of_group))
    return evaluated
