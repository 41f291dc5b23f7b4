"""The rows that a report looks at, task by task: those with a label and a weight."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from shared_bottom.run.metrics import counted, counted_labels
from spec.data import Dataset
from spec.model import ModelSpec, TaskSpec


class Rows(NamedTuple):
    """A task's n rows."""

    task: TaskSpec
    label: np.ndarray
    """(n,), or (n, outputs) for regression."""
    predicted: np.ndarray
    """float64: binary (n,) probability, regression (n, outputs), multiclass (n, outputs) probabilities."""
    weight: np.ndarray | None
    """(n,)."""
    classes: tuple[str, ...]
    """multiclass: their names, in order."""

    @property
    def finite(self) -> bool:
        """Whether every prediction is."""
        return bool(np.isfinite(self.predicted).all())


def rows_by_task(
    model: ModelSpec,
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    sample_weight: np.ndarray | None,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> list[Rows]:
    """The tasks that have labels and predictions, in the order of the model.

    Raises ValueError if a task has the one and not the other, or if arrays do not fit the task or each other.
    """
    tasks = {task.name: task for task in model.tasks}
    for field, arrays, others in (("labels", labels, predictions), ("predictions", predictions, labels)):
        for name in arrays:
            if name not in tasks:
                raise ValueError(f"{field}: expected tasks among {', '.join(tasks)}, got {name!r}")
        for name in others:
            if name not in arrays:
                raise ValueError(f"{field}: expected an array for task {name!r}, got none")
    found = []
    for name, task in tasks.items():
        if name not in labels:
            continue
        label, predicted = np.asarray(labels[name]), np.asarray(predictions[name])
        rows = len(label)
        shapes = {
            "labels": (label, task.traits.label_per_output),
            "predictions": (predicted, task.traits.prediction_per_output),
        }
        for field, (array, wide) in shapes.items():
            expected = (rows, task.outputs) if wide else (rows,)
            if array.shape != expected and not (
                field == "labels" and wide and label.shape == (rows,) and task.outputs == 1
            ):
                raise ValueError(f"{field}[{name!r}]: expected shape {expected}, got {array.shape}")
        if sample_weight is not None and sample_weight.shape != (rows,):
            raise ValueError(f"sample_weight: expected shape {(rows,)}, got {sample_weight.shape}")
        data = Dataset(numeric=np.empty((rows, 0)), labels={name: label}, sample_weight=sample_weight)
        own, weight = counted_labels(task, data)
        names = tuple((classes or {}).get(name) or map(str, range(task.outputs)))
        found.append(Rows(task, own, predicted[counted(task, data)].astype(np.float64), weight, names))
    return found
