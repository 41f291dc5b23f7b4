"""The curves of a run as an event file of TensorBoard."""

import importlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

from shared_bottom.disk import write_whole
from shared_bottom.reports.epochs import loss_curves
from shared_bottom.run.watcher import EVENTS
from spec.results import History

Scalars = dict[str, float]
"""The values of one step, by the tags under which TensorBoard shows them."""


def check_events() -> None:
    """Raises ImportError if tensorboard is not installed. The message names the command that installs it."""
    try:
        importlib.import_module("tensorboard")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"TensorBoard's event files need {error.name}, which is not installed: pip install -e '.[tensorboard]'",
            name=error.name,
        ) from error


def write_events(folder: Path, history: History) -> None:
    """Write the event file of a run, whole or not at all.

    folder: where to write it. It is made if it does not exist.
    history: the run.

    The scalars of each step are loss/total ("loss/all tasks" if a task has the name total) and loss/<task>. Those of
    each epoch's last step are weight/<task> and metrics/<task>/<metric>. Steps are counted from 1. Raises ImportError
    if tensorboard is not installed, and OSError if the file cannot be written.
    """
    check_events()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / EVENTS, records(history, 0, 0, first=True))


def records(history: History, steps: int, epochs: int, *, first: bool = False) -> bytes:
    """The records of an event file for what comes after the first `steps` steps and `epochs` epochs of a run.

    first: whether a file begins with them.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    content, now = io.BytesIO(), time.time()
    writer = RecordWriter(content)
    if first:
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
    for step, scalars in _scalars(history, steps, epochs):
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        writer.write(Event(wall_time=now, step=step, summary=Summary(value=values)).SerializeToString())
    return content.getvalue()


def _scalars(history: History, steps: int, epochs: int) -> Iterator[tuple[int, Scalars]]:
    curves = {f"loss/{name}": curve for name, curve in loss_curves(history).items()}
    columns = [curve[steps:].tolist() for curve in curves.values()]
    for step, losses in enumerate(zip(*columns, strict=True), steps + 1):
        yield step, dict(zip(curves, losses, strict=True))
    for entry in history.epochs[epochs:]:
        step = entry["step"]
        scalars = {f"weight/{task}": float(weight[step - 1]) for task, weight in history.task_weight.items()}
        for task, metrics in entry.get("metrics", {}).items():
            scalars |= {f"metrics/{task}/{name}": value for name, value in metrics.items()}
        yield step, scalars
