"""How well each class of the multiclass tasks is predicted, by the classes' names."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from shared_bottom.reports.rows import TaskRows

MOST = 100
"""The largest number of classes of a task that have a row. They are those with the most rows."""


class ClassRow(NamedTuple):
    """A row of the table of classes."""

    task: str
    name: str
    rows: int
    """The rows of this class."""
    right: str
    """The share of them that are predicted to be of it, by the rows' weights; "–" if there are none."""
    predicted: int
    """The rows that are predicted to be of it."""


def class_rows(rows: Sequence[TaskRows]) -> Iterator[ClassRow]:
    """The classes of each multiclass task, in their order.

    rows: the evaluated rows of each task. A task of which a prediction is not finite is left out.
    """
    for of_task in rows:
        if of_task.task.traits.label != "class" or not of_task.finite:
            continue
        likeliest, weight = of_task.predicted.argmax(axis=1), of_task.weight
        counts = np.bincount(of_task.label.astype(np.int64), minlength=len(of_task.outputs))
        for i in np.sort(np.argsort(-counts, kind="stable")[:MOST]):
            mine, right = of_task.label == i, "–"
            if counts[i]:
                share = np.average(likeliest[mine] == i, weights=None if weight is None else weight[mine])
                right = f"{share:.1%}"
            yield ClassRow(of_task.task.name, of_task.outputs[i], int(counts[i]), right, int((likeliest == i).sum()))
