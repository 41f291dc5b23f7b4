"""A run's curves as a TensorBoard event file."""

import importlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

from shared_bottom.disk import write_whole
from shared_bottom.reports.epochs import loss_curves
from spec.results import History

Scalars = dict[str, float]
FILE = "events.out.tfevents.history"
"""Always the same, for TensorBoard would draw the curves of an earlier file besides."""


def check_events() -> None:
    """Raises ImportError, with the command that installs it, if tensorboard is not installed."""
    try:
        importlib.import_module("tensorboard")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"TensorBoard's event files need {error.name}, which is not installed: pip install -e '.[tensorboard]'",
            name=error.name,
        ) from error


def write_events(folder: Path, history: History) -> None:
    """Write the event file into `folder`, which is made if need be; whole or not at all.

    Scalars: loss/total ("loss/all tasks" where a task is called total) and loss/<task> of each step; weight/<task> and
    metrics/<task>/<metric> at each epoch's last step. Steps are counted from 1: at step n, n of them are done.
    Raises ImportError as `check_events` does, and OSError.
    """
    check_events()
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    content, now = io.BytesIO(), time.time()
    records = RecordWriter(content)
    records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    for step, scalars in _scalars(history):
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        records.write(Event(wall_time=now, step=step, summary=Summary(value=values)).SerializeToString())
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, content.getvalue())


def _scalars(history: History) -> Iterator[tuple[int, Scalars]]:
    curves = {f"loss/{name}": curve for name, curve in loss_curves(history).items()}
    columns = [curve.tolist() for curve in curves.values()]
    for step, losses in enumerate(zip(*columns, strict=True), 1):
        yield step, dict(zip(curves, losses, strict=True))
    for entry in history.epochs:
        step = entry["step"]
        found = {f"weight/{task}": float(weight[step - 1]) for task, weight in history.task_weight.items()}
        for task, metrics in entry.get("metrics", {}).items():
            found |= {f"metrics/{task}/{name}": value for name, value in metrics.items()}
        yield step, found
