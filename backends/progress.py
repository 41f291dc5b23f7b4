"""A progress bar on a terminal, silence elsewhere."""

from collections.abc import Iterable, Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from backends.batches import Batches
from spec.results import Epoch
from spec.training import TrainSpec


class Progress:
    """Shows the epoch, the step, the loss and the time left, on standard error."""

    def __init__(self, train: TrainSpec, rows: int, done: int = 0) -> None:
        """done: the steps that a resumed run has behind it."""
        console = Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        steps = train.steps_per_epoch(rows)
        epoch = min(done // steps + 1, train.epochs)
        self._task = self._bar.add_task(
            "", total=train.epochs * steps, completed=done, epoch=f"{epoch}/{train.epochs}", loss="–"
        )
        self._epochs = train.epochs

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def track(self, calls: Iterable[Batches]) -> Iterator[Batches]:
        """Pass the batches on, and count their steps once they are used."""
        for batches in calls:
            yield batches
            self._bar.advance(self._task, len(batches["learning_rate"]))

    def epoch(self, entry: Epoch) -> None:
        """Show an epoch that is done."""
        done = min(entry["epoch"] + 1, self._epochs)
        self._bar.update(self._task, epoch=f"{done}/{self._epochs}", loss=f"{entry['loss']:.5f}")
