"""Whoever is told how far a run is, and the files of the run's folder that grow meanwhile."""

from shared_bottom.run.progress import Progress
from shared_bottom.run.record import Record

STATUS, METRICS, EVENTS = "status.json", "metrics.jsonl", "events.out.tfevents.history"
"""How far the run is; a line of JSON for each epoch; TensorBoard's file. The name of the last is always the same, so
that a new file replaces an earlier one: TensorBoard draws all files of a folder."""


class Watcher:
    """Is told how far a run is, in process 0. This one makes nothing of it."""

    def begin(self, record: Record, progress: Progress) -> None:
        """The first step is about to be done, or the first one after the run was resumed."""

    def after_call(self) -> None:
        """A call of the trainer has ended, and is in the record."""

    def after_epoch(self) -> None:
        """An epoch has ended, and is in the record."""
