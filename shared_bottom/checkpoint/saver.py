"""When a run is saved: at the steps that the user asks for, and when a signal ends it."""

import dataclasses
import itertools
import sys
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from shared_bottom.arrays import all_finite
from shared_bottom.checkpoint.checkpoint import Checkpoint, make_checkpoint
from shared_bottom.checkpoint.folder import CheckpointFolder, CheckpointWarning
from shared_bottom.checkpoint.identity import Run, differences
from shared_bottom.run.interrupts import Interrupts
from shared_bottom.run.plan import Plan
from shared_bottom.run.record import Record
from shared_bottom.run.saver import Saver
from shared_bottom.run.streams import unfailing
from spec.training import learning_rates

OTHER_RATES = (
    "by which schedule {} gives all steps from {} on (from 0) other learning rates; to train on from its parameters, "
    "begin a new run with --start-from"
)
"""What another number of epochs does, in words: the schedule, and the first step that it concerns."""


def check_options(checkpoint: Any, save_every: Any, keep: Any, resume: Any) -> None:
    """Raises ValueError, naming the argument of `fit`, what was expected and what came."""
    if checkpoint is not None and not isinstance(checkpoint, str | Path):
        raise ValueError(f"checkpoint: expected the path of a folder, got {checkpoint!r}")
    for name, value in (("save_every", save_every), ("keep", keep)):
        if value is None and name == "save_every":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: expected an integer of 1 or more, got {value!r}")
    if not isinstance(resume, bool):
        raise ValueError(f"resume: expected True or False, got {resume!r}")
    for name, given in (("save_every", save_every is not None), ("resume", resume)):
        if given and checkpoint is None:
            raise ValueError(f"{name}: expected the folder checkpoint with it, got none")


def first_other_rate(saved: Checkpoint, rates: np.ndarray, steps_per_epoch: int) -> int | None:
    """The first of the steps that are done, from 0, for which the run has another learning rate now; None if there is
    none, so that another number of epochs makes no other run of it.

    rates: those of the run now, of all steps.
    """
    before = learning_rates(saved.train, saved.train.epochs * steps_per_epoch)[: saved.step]
    both = min(len(before), len(rates))
    others = np.flatnonzero(before[:both] != rates[:both])
    return int(others[0]) if len(others) else None


class CheckpointSaver(Saver):
    """Saves a run in its folder; while its `with` lasts, SIGTERM and Ctrl-C end the run once a call has ended.

    At most save_every steps lie between two saves. They are counted within an epoch, and if it has fewer, whole epochs
    are, so that all epochs are cut into calls of the same few lengths: each length compiles. Of several processes, the
    first one saves; a signal that came to any of them ends them all after the same step.
    """

    def __init__(self, folder: CheckpointFolder | None, plan: Plan, run: Run) -> None:
        """folder: None in a process that does not save. run: what the plan is the plan of."""
        self._folder, self._plan, self._run = folder, plan, run
        self._steps = plan.steps_per_epoch
        self._save_every = plan.save_every or self._steps
        self._epochs = max(1, self._save_every // self._steps)
        self._interrupts = Interrupts(alone=plan.processes.size == 1, speaks=plan.processes.is_first)
        self._saved = self._tried = 0

    def __enter__(self) -> Self:
        self._interrupts.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._interrupts.__exit__(kind, error, trace)

    def start(self) -> Checkpoint | None:
        """What to go on from; None to begin anew. Raises ValueError if it is of another run.

        A caller who names no parameters to start from means those of the saved run.
        """
        saved = self._plan.processes.first(self._read)
        if saved is not None:
            self._run = dataclasses.replace(self._run, start=saved.run.start)
            self._saved = self._tried = saved.step
        return saved

    def _read(self) -> Checkpoint | None:
        assert self._folder is not None
        if not self._plan.resume:
            self._folder.check_empty()
            return None
        saved = self._folder.newest()
        if saved is None:
            return None
        differ = differences(saved.run, self._run)
        if self._plan.params is None:
            differ = [line for line in differ if not line.startswith("start:")]
        if len(differ) == 1 and differ[0].startswith("train.epochs: "):
            first = first_other_rate(saved, self._plan.learning_rates, self._steps)
            differ = [] if first is None else [f"{differ[0]}, {OTHER_RATES.format(saved.train.schedule.kind, first)}"]
        if differ:
            raise ValueError(f"resume: expected the run of {self._folder.last}, got another: {'; '.join(differ)}")
        if saved.step > (total := len(self._plan.learning_rates)):
            raise ValueError(f"train.epochs: expected no fewer steps than the {saved.step} that are done, got {total}")
        if self._plan.train.on_divergence == "stop" and not all_finite(
            saved.history.step_loss, *saved.history.task_loss.values()
        ):
            expected = f"'continue', since {self._folder.last} has losses that are not finite"
            raise ValueError(f"train.on_divergence: expected {expected}, got 'stop'")
        return saved

    def note(self) -> str:
        """Which checkpoint there is to go back to, in words."""
        last = self._folder and self._folder.last
        return f"; the newest checkpoint is {last}" if last else "; there is no checkpoint"

    def after_call(self, record: Record) -> None:
        """Within an epoch, save if it is time. Raises SystemExit if a signal came."""
        within = record.step % self._steps
        if within:  # the end of an epoch is saved with its metrics
            self._save(record, within % self._save_every == 0)

    def after_epoch(self, record: Record) -> None:
        """At an epoch's end, save if it is time or it is the best so far. Raises SystemExit if a signal came."""
        best = record.best is not None and record.best.step == record.step
        self._save(record, best or len(record.epochs) % self._epochs == 0)

    def end(self, record: Record) -> None:
        """Save the last record. Raises SystemExit if a signal came."""
        self._save(record, True)

    def _save(self, record: Record, due: bool) -> None:
        processes, folder = self._plan.processes, self._folder
        number = next((number for number in processes.gather(self._interrupts.received) if number), None)
        if folder and (due or number or folder.is_gone()) and record.step > self._tried:
            self._tried = record.step
            checkpoint = make_checkpoint(record.snapshot(), self._run, self._plan.backend.libraries)
            self._saved = record.step if self._write(folder, checkpoint) else self._saved
        if number:
            processes.gather(None)  # the others stay until the first one has saved: their end may end it
            if processes.is_first:
                saved = "saved" if self._saved == record.step else "not saved"
                said = f"{number.name}: stopped after step {record.step}, {saved}{self.note()}"
                print(said, file=unfailing(sys.stderr))
            raise SystemExit(128 + number)

    def _write(self, folder: CheckpointFolder, checkpoint: Checkpoint) -> bool:
        groups = (checkpoint.params, *checkpoint.slots.values(), checkpoint.balance)
        state = itertools.chain.from_iterable(group.values() for group in groups)
        if self._run.train.on_divergence == "continue" or all_finite(*state):
            return folder.save(checkpoint)
        warnings.warn(
            f"step {checkpoint.step} was not saved: its parameters, optimizer slots or balance are not finite"
            f"{self.note()}",
            CheckpointWarning,
            stacklevel=2,
        )
        return False
