"""How far a run is, on standard error: a bar on a terminal, and elsewhere plain lines or silence."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from backends.batches import Batches
from backends.layout import Layout
from shared_bottom.run.record import Record
from shared_bottom.run.streams import unfailing
from spec.backend import ProgressMode
from spec.training import TrainSpec

BAR_SECONDS, LINE_SECONDS = 0.1, 5.0
"""Least time between two looks of the bar, and between two lines."""
BAR_WIDTH, WIDTH = 12, 100
"""Columns of the bar itself, and of it and its text at most."""


class Progress:
    """Shows epoch, step, rows/s, time left, and the losses of the newest step as calls of the trainer end.

    Rows/s and time left are by what this process has done since its first call, which compiles; a resumed run's earlier
    steps count as done.
    """

    def __init__(
        self,
        mode: ProgressMode,
        train: TrainSpec,
        layout: Layout,
        rows: int,
        record: Record,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """rows: of an epoch. clock: seconds, from any start."""
        # Progress is no result: the run goes on where standard error is closed, or is a file on a full disk.
        self._console = console or Console(file=cast(TextIO, unfailing(sys.stderr)))
        self._clock, self._record = clock, record
        terminal = self._console.is_terminal and mode != "none"
        self._shows = terminal or mode == "lines"
        self._every = BAR_SECONDS if terminal else LINE_SECONDS
        self._bar: Bar | None = None
        if terminal:
            text = TextColumn("{task.description}", markup=False)
            self._bar = Bar(BarColumn(BAR_WIDTH), text, console=self._console)
        self._names = [task.name for task in layout.tasks]
        self.epochs, self._rows, self._batch = train.epochs, rows, train.batch_size
        self._steps = train.steps_per_epoch(rows)
        self._marks = [(clock(), self._rows_after(record.step))]
        self._shown_at, self._shown_step = self._marks[0][0], record.step

    def __enter__(self) -> "Progress":
        if self._bar:
            total = self.steps
            self._task = self._bar.add_task(self._pace(self._clock()), total=total, completed=self._record.step)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shows and self._record.step != self._shown_step:
            self._show(self._clock())
        if self._bar:
            self._bar.stop()

    def track(self, calls: Iterable[Batches]) -> Iterator[Batches]:
        """Pass the batches on, a call's worth at a time, and look at the record once they are used."""
        for batches in calls:
            yield batches
            now = self._clock()
            if self._shows and now - self._shown_at >= self._every:
                self._show(now)
            if len(self._marks) == 1:
                self._marks.insert(0, (now, self._rows_after(self._record.step)))

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self._steps

    def seconds_left(self) -> float | None:
        """How long the rest of the run takes, at the pace that `Progress` shows; None before a step is done here."""
        rate = self._rate(self._clock())
        return None if rate is None else self._rows_left() / rate

    def _show(self, now: float) -> None:
        self._shown_at, self._shown_step = now, self._record.step
        if self._bar:
            room = min(self._console.width, WIDTH) - BAR_WIDTH - 1
            text = "\n".join([self._pace(now), *self._losses(room)])
            self._bar.update(self._task, completed=self._record.step, description=text)
        else:
            print(", ".join([self._pace(now), *self._losses()]), file=self._console.file, flush=True)

    def _pace(self, now: float) -> str:
        step = self._record.step
        text = f"epoch {max(1, math.ceil(step / self._steps))}/{self.epochs}, step {step:,}/{self.steps:,}"
        if rate := self._rate(now):
            left = timedelta(seconds=math.ceil(self._rows_left() / rate))
            text += f", {rate:,.0f} rows/s, {left} left"
        return text

    def _rate(self, now: float) -> float | None:
        """Rows a second; None before any is done."""
        done = self._rows_after(self._record.step)
        return next(((done - rows) / max(now - at, 1e-9) for at, rows in self._marks if done > rows), None)

    def _rows_left(self) -> int:
        return self.epochs * self._rows - self._rows_after(self._record.step)

    def _losses(self, room: int | None = None) -> list[str]:
        """The total loss and those of the tasks, of so many as fit in `room` columns; [] before the first step."""
        losses = self._record.newest_losses()
        if losses is None:
            return []
        total, *task_losses = losses
        tasks = [f"{name} {loss:.4g}" for name, loss in zip(self._names, task_losses, strict=True)]
        for shown in range(len(tasks), 0, -1):
            more = [f"+{len(tasks) - shown}"] if shown < len(tasks) else []
            text = f"loss {total:.5g} ({', '.join(tasks[:shown] + more)})"
            if room is None or len(text) <= room:
                return [text]
        return [f"loss {total:.5g}"]

    def _rows_after(self, step: int) -> int:
        epochs, steps = divmod(step, self._steps)
        return epochs * self._rows + steps * self._batch  # only an epoch's last step has fewer
