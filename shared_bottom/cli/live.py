"""A run in progress, for whoever looks into its folder: how far it is, its epochs, and TensorBoard's curves."""

import json
import math
import os
import socket
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from shared_bottom.cli.options import FitExperiment
from shared_bottom.disk import write_whole
from shared_bottom.lock import is_still
from shared_bottom.reports.epochs import epoch_lines
from shared_bottom.reports.events import records, write_events
from shared_bottom.run.progress import Progress
from shared_bottom.run.record import Record
from shared_bottom.run.watcher import EVENTS, METRICS, STATUS, Watcher
from spec.validation import one_line

PAUSE, SHORT = 2.0, 0.1
"""Seconds that lie between two looks at a run: within an epoch, and at the ends of epochs that are shorter."""


class LiveFiles(Watcher):
    """The files of a run that grow while it goes on: a context, at whose end status.json says how the run ended.

    An epoch that has ended is a line of metrics.jsonl at once. A run that is resumed begins these files with what was
    saved of it, so that no epoch is there twice. The fields of status.json are explained in docs/checkpoints.md.

    Like the lines of progress, they are no results: if one cannot be written, a warning says so, and the run goes on
    without them. What is in metrics.jsonl and in TensorBoard's file is written again with the report.
    """

    def __init__(self, options: FitExperiment, backend: str, known: Callable[[], None]) -> None:
        """known: called before the first step, when a run that is resumed is known to be the same run."""
        self._options, self._backend, self._known = options, backend, known
        self._folder, self._place = options.out, options.out.stat()
        self._run: tuple[Record, Progress] | None = None
        self._steps = self._epochs = 0
        """Those that are in the files that grow."""
        self._said_at = -math.inf
        self._grows = True
        """Whether they still do: once something could not be appended, half of it may be there."""
        self._warned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._run is None:
            return
        self._write(self._grow)
        if error is None:
            self._write(lambda: self._say("finished"))
        elif isinstance(error, Exception):
            self._write(partial(self._say, "failed", one_line(error)))
        else:
            self._write(lambda: self._say("stopped"))

    def begin(self, record: Record, progress: Progress) -> None:
        """See `Watcher`."""
        self._run = (record, progress)
        if is_still(self._folder, self._place):
            self._known()
        self._write(self._begin_files)
        self._write(self._say)

    def after_call(self) -> None:
        """See `Watcher`."""
        if time.monotonic() - self._said_at >= PAUSE:
            self._write(self._say)

    def after_epoch(self) -> None:
        """See `Watcher`."""
        self._write(self._grow)
        if time.monotonic() - self._said_at >= SHORT:
            self._write(self._say)

    def _write(self, write: Callable[[], None]) -> None:
        """Call what writes files, unless the folder was removed, or another one is in its place."""
        if not is_still(self._folder, self._place):
            return
        try:
            write()
        except OSError as error:
            if not self._warned:
                message = f"{one_line(error)}: what is to be seen of the run in progress is not written; it goes on"
                warnings.warn(message, UserWarning, stacklevel=3)
            self._warned = True

    def _begin_files(self) -> None:
        record, _ = self._of_run()
        history = record.history()
        self._grows = False
        write_whole(self._folder / METRICS, epoch_lines(history).encode())
        if self._options.tensorboard:
            write_events(self._folder, history)
        self._steps, self._epochs, self._grows = record.step, len(record.epochs), True

    def _grow(self) -> None:
        """Append what is new."""
        if not self._grows:
            return
        record, _ = self._of_run()
        history = record.history()
        self._grows = False
        if len(history.epochs) > self._epochs:
            append(self._folder / METRICS, epoch_lines(history, self._epochs).encode())
        if self._options.tensorboard:
            append(self._folder / EVENTS, records(history, self._steps, self._epochs))
        self._steps, self._epochs, self._grows = record.step, len(record.epochs), True

    def _say(self, state: str = "running", reason: str | None = None) -> None:
        """Write status.json."""
        record, progress = self._of_run()
        left = {"running": progress.seconds_left(), "finished": 0.0}.get(state)
        fields = {
            "state": state,
            "reason": reason,
            "step": record.step,
            "steps": progress.steps,
            "epoch": len(record.epochs),
            "epochs": progress.epochs,
            "seconds_left": None if left is None else round(left, 1),
            "process": os.getpid(),
            "host": socket.gethostname(),
            "backend": self._backend,
            "updated": round(time.time(), 3),
        }
        self._said_at = time.monotonic()
        write_whole(self._folder / STATUS, (json.dumps(fields, indent=1) + "\n").encode(), flushed=False)

    def _of_run(self) -> tuple[Record, Progress]:
        assert self._run is not None
        return self._run


def append(path: Path, content: bytes) -> None:
    """Append to a file. Raises OSError."""
    with path.open("ab") as file:
        file.write(content)
