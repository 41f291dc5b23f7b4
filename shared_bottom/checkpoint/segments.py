"""The history of a run in segments: files that are written once, and that later checkpoints link to.

A run has two histories, of numbers by step and of numbers by epoch. Whenever one has grown by `LENGTH`, the next
checkpoint has it as a file of its own. The checkpoint after that has the same file, as another link to it where the
file system has links; so every folder is whole without the others, and a save writes no more than what is new and the
rest that does not fill a segment yet, however long the run.

As all links lead to the same bytes, damage of one would pass to every later checkpoint. So each save compares one of
the earlier segments, in turn, with its SHA-256, and writes it anew if it differs.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from shared_bottom import arrays
from shared_bottom.checkpoint.checkpoint import Checkpoint
from shared_bottom.checkpoint.records import to_arrays
from shared_bottom.disk import write_flushed
from spec.params import Params

LENGTH = 8192
"""Steps or epochs of a segment. With more, each save would write a longer rest; with fewer, make more links."""

Part = Literal["history", "epochs"]
"""The curves by step, or the records by epoch: what the names of the arrays, and those of the files, begin with."""
PARTS: tuple[Part, ...] = get_args(Part)


class Segment(NamedTuple):
    """Which numbers a file has."""

    file: str
    part: Part
    start: int
    stop: int


def segments_of(step: int, epoch: int, length: int) -> Iterator[Segment]:
    """Those of a run after so many steps and epochs, in order: the full ones."""
    for part, done in zip(PARTS, (step, epoch), strict=True):
        for i in range(done // length):
            yield Segment(f"{part}-{i:06d}.safetensors", part, i * length, (i + 1) * length)


def _numbers(checkpoint: Checkpoint, part: Part, start: int, stop: int) -> Params:
    """The history from `start` to `stop`, in steps or epochs: float64 (stop - start,) by the name in the format."""
    history = checkpoint.history
    if part == "epochs":
        return to_arrays(checkpoint.run, history.epochs[start:stop])
    curves = {"step_loss": history.step_loss} | {f"task_loss.{name}": c for name, c in history.task_loss.items()}
    if checkpoint.train.balancing.changes_weights:
        curves |= {f"task_weight.{name}": curve for name, curve in history.task_weight.items()}
    return {f"history.{name}": curve[start:stop] for name, curve in curves.items()}


class WrittenSegments:
    """The segments of a run so far, and the folder of the newest checkpoint, which has them."""

    def __init__(self) -> None:
        self.length = LENGTH
        self._folder = Path()
        self._digests: dict[str, str] = {}
        self._turn: list[str] = []
        """Those that later saves compare, the next one last. When none is left, it is the turn of all again."""

    def write(self, folder: Path, checkpoint: Checkpoint) -> dict[str, str]:
        """Give the folder of a checkpoint all its segments; the SHA-256 of each by the name of its file."""
        digests = {}
        self._turn = self._turn or list(reversed(self._digests))
        compared = self._turn.pop() if self._turn else None
        for file, part, start, stop in segments_of(checkpoint.step, checkpoint.epoch, self.length):
            if self._link(file, folder, compare=file == compared):
                digests[file] = self._digests[file]
            else:
                content = arrays.content(_numbers(checkpoint, part, start, stop))
                digests[file] = write_flushed(folder / file, content)
        return digests

    def rest(self, checkpoint: Checkpoint) -> Params:
        """The history since the last full segments."""
        rest: Params = {}
        for part, done in zip(PARTS, (checkpoint.step, checkpoint.epoch), strict=True):
            rest |= _numbers(checkpoint, part, done - done % self.length, done)
        return rest

    def are_in(self, folder: Path, digests: dict[str, str]) -> None:
        """Takes note of the folder of a checkpoint that is on the disk, to link to its files."""
        self._folder, self._digests = folder, digests

    def _link(self, file: str, folder: Path, *, compare: bool) -> bool:
        """Whether the file could be linked to; if not, it is written again, which gives the same bytes.

        It cannot on a file system without links, or if somebody has removed the earlier checkpoint. With `compare`, nor
        if the file has other bytes than it was written with.
        """
        if file not in self._digests:
            return False
        try:
            if compare and arrays.digest(self._folder / file) != self._digests[file]:
                return False
            os.link(self._folder / file, folder / file)
        except (OSError, ValueError):
            return False
        return True
