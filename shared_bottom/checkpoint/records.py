"""The records of a run's epochs as arrays with a number for each epoch, which is how a checkpoint holds them.

Written out as JSON they would take six times as much, and saving would come to take longer than an epoch.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, cast

import numpy as np

from shared_bottom.checkpoint.identity import Run
from spec.params import Params
from spec.results import Epoch

PREFIX = "epochs."


def record_paths(run: Run) -> list[tuple[str, ...]]:
    """The places of all numbers in an epoch's record, except for epoch and step, which follow from its place."""
    tasks = run.model.tasks
    paths = [("loss",), *(("task_loss", task.name) for task in tasks)]
    if run.validation is not None:
        paths += [("metrics", task.name, metric) for task in tasks for metric in task.metrics]
    if run.train.early_stopping is not None:
        paths.append(("monitor",))
    return [*paths, ("seconds",)]


def array_name(path: Iterable[str]) -> str:
    """The name of the array that holds the numbers of this place."""
    return PREFIX + ".".join(path)


def to_arrays(run: Run, epochs: Sequence[Epoch]) -> Params:
    """The records as arrays: float64 (epochs,) by name."""

    def array(path: Iterable[str]) -> np.ndarray:
        values: Iterable[Any] = epochs
        for key in path:
            values = map(itemgetter(key), values)
        return np.fromiter(values, np.float64, count=len(epochs))

    return {array_name(path): array(path) for path in record_paths(run)}


def from_arrays(run: Run, arrays: Params) -> list[Epoch]:
    """The records that `to_arrays` made the arrays of."""
    paths, steps = record_paths(run), run.train.steps_per_epoch(run.rows)
    records = []
    for i, numbers in enumerate(zip(*(arrays[array_name(path)].tolist() for path in paths), strict=True)):
        record: dict[str, Any] = {"epoch": i + 1, "step": (i + 1) * steps}
        for (*outer, last), number in zip(paths, numbers, strict=True):
            at = record
            for key in outer:
                at = at.setdefault(key, {})
            at[last] = number
        records.append(cast(Epoch, record))
    return records


def check_records(run: Run, epochs: Sequence[Epoch]) -> None:
    """Raises ValueError, in one line that names the entry, if records are not those of the run's first epochs."""
    paths, steps = set(record_paths(run)), run.train.steps_per_epoch(run.rows)
    for i, record in enumerate(epochs):
        present = set(_paths(record))
        for path in sorted(present ^ (paths | {("epoch",), ("step",)})):
            expected, came = ("none", "one") if path in present else ("a number", "none")
            raise ValueError(f"epochs.{i}.{'.'.join(path)}: expected {expected}, got {came}")
        if (record["epoch"], record["step"]) != (i + 1, (i + 1) * steps):
            place = f"epoch {i + 1} and step {(i + 1) * steps}"
            raise ValueError(f"epochs.{i}: expected {place}, got {record['epoch']} and {record['step']}")


def _paths(record: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    if not isinstance(record, dict):
        yield path
        return
    for key, value in record.items():
        yield from _paths(value, (*path, key))
