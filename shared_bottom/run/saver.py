"""What the training loop tells whoever saves the run. A run without a folder has a `Saver` that does nothing."""

from types import TracebackType
from typing import Self

from shared_bottom.run.record import Record, Snapshot


class Saver:
    """Saves nothing. While its `with` lasts the run is in progress."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def start(self) -> Snapshot | None:
        """What to go on from; None to begin anew."""
        return None

    def note(self) -> str:
        """What an error that ends the run says of the saved states, in words."""
        return ""

    def after_call(self, record: Record) -> None:
        """A call of the trainer has ended."""

    def after_epoch(self, record: Record) -> None:
        """An epoch has ended, and its entry is in the record."""

    def end(self, record: Record) -> None:
        """The last epoch has ended."""
