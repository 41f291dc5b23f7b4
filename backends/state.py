"""How far a run has come: its curves, its epochs, the best weights so far, and what of it a checkpoint keeps."""

import importlib.metadata
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backends.balancing import balance_of
from backends.identity import Run
from backends.layout import Layout
from spec.model import ModelSpec
from spec.params import Params
from spec.results import DivergenceError, Epoch, History
from spec.training import TrainSpec

if TYPE_CHECKING:
    from backends.base import SharedBackend, Trainer


@dataclass(kw_only=True)
class Best:
    """The weights of the best epoch so far."""

    epoch: int
    """From 1."""
    step: int
    """Steps done at its end."""
    value: float
    """What early stopping watches."""
    params: Params


@dataclass(kw_only=True)
class Checkpoint:
    """The state of a run after `step` steps, which may lie within an epoch."""

    run: Run
    backend: str
    """The one that saved it."""
    libraries: dict[str, str]
    """Versions of what saved it."""
    step: int
    """Steps done."""
    params: Params
    slots: dict[str, Params]
    """By the names of `train.optimizer.slots`, then by the parameters' names."""
    balance: Params
    """What balancing keeps: see `backends.balancing`."""
    history: History
    best: Best | None = None

    @property
    def model(self) -> ModelSpec:
        """The network."""
        return self.run.model

    @property
    def train(self) -> TrainSpec:
        """The training."""
        return self.run.train

    @property
    def epoch(self) -> int:
        """Epochs that have ended."""
        return len(self.history.epochs)


class State:
    """A run in progress. It starts as `saved` was, if given."""

    def __init__(
        self,
        backend: "SharedBackend",
        layout: Layout,
        train: TrainSpec,
        trainer: "Trainer",
        execution: str,
        device: str,
        saved: Checkpoint | None = None,
    ) -> None:
        self.epochs: list[Epoch] = []
        self.best: Best | None = None
        self.step = 0
        self._backend, self._layout, self._train, self._trainer = backend, layout, train, trainer
        self._execution, self._device = execution, device
        self._columns = 1 + len(layout.tasks)
        self._losses = [np.empty((0, self._columns + (len(layout.tasks) if train.balancing.moves else 0)))]
        if saved is not None:
            self.epochs, self.best, self.step = list(saved.history.epochs), saved.best, saved.step
            curves = [saved.history.step_loss, *(saved.history.task_loss[task.name] for task in layout.tasks)]
            if train.balancing.moves:
                curves += [saved.history.task_weight[task.name] for task in layout.tasks]
            self._losses = [np.stack(curves, axis=1)]

    def add(self, losses: np.ndarray) -> None:
        """Takes note of a call's losses (steps, losses), as `Trainer.run` returns them."""
        self._losses.append(losses)
        self.step += len(losses)

    def params(self) -> Params:
        """The parameters so far."""
        return self._layout.unpack(self._trainer.params())

    def balance(self) -> Params:
        """What balancing keeps, so far: see `backends.balancing`."""
        return balance_of(self._layout, self._train, self._trainer)

    def losses(self) -> np.ndarray:
        """All steps' losses: float64 (steps, losses), as `Trainer.run` returns them."""
        self._losses = [np.concatenate(self._losses)]
        return self._losses[0]

    def newest_losses(self) -> list[float] | None:
        """The losses (1+tasks,) of the newest step, in the layout's order; None before the first."""
        return self._losses[-1][-1, : self._columns].tolist() if self.step else None

    def history(self) -> History:
        """The curves so far."""
        losses = self.losses()
        tasks = self._layout.model.tasks
        places = dict(zip((task.name for task in tasks), self._layout.task_places, strict=True))
        factors = losses[:, self._columns :]
        return History(
            execution=self._execution,
            device=self._device,
            step_loss=losses[:, 0],
            task_loss={task.name: losses[:, 1 + places[task.name]] for task in tasks},
            task_weight={
                task.name: factors[:, places[task.name]]
                if self._train.balancing.moves
                else np.full(len(losses), task.weight)
                for task in tasks
            },
            epochs=self.epochs,
            best_epoch=self.best.epoch if self.best else None,
        )

    def checkpoint(self, run: Run) -> Checkpoint:
        """All that is needed to go on from here."""
        slots = {name: self._layout.unpack(slot) for name, slot in self._trainer.slots().items()}
        libraries = {name: importlib.metadata.version(name) for name in ("numpy", *self._backend.libraries)}
        return Checkpoint(
            run=run,
            backend=self._backend.name,
            libraries={"python": platform.python_version()} | libraries,
            step=self.step,
            params=self.params(),
            slots=slots,
            balance=self.balance(),
            history=self.history(),
            best=self.best,
        )

    def end_epoch(self, epoch: int, steps: int) -> Epoch:
        """What the history says of epoch `epoch` (from 0) of `steps` steps; the seconds are still to come."""
        total, *own = self.losses()[epoch * steps :, : self._columns].mean(axis=0).tolist()
        names = [task.name for task in self._layout.tasks]
        return {"epoch": epoch + 1, "loss": total, "task_loss": dict(zip(names, own, strict=True)), "seconds": 0.0}

    def check_finite(self, rates: np.ndarray, note: str = "") -> None:
        """Raises DivergenceError if the last call has a loss that is not finite, with the curves up to that step.

        rates: the learning rate of each step of the run (steps,). note: what the message says besides.
        """
        last = self._losses[-1][:, : self._columns]
        if np.isfinite(last).all():
            return
        step = self.step - len(last) + int(np.argmin(np.isfinite(last).all(axis=1)))
        self._losses = [self.losses()[: step + 1]]
        history = self.history()
        task = next((name for name, curve in history.task_loss.items() if not np.isfinite(curve[step])), None)
        loss = history.step_loss[step] if task is None else history.task_loss[task][step]
        raise DivergenceError(
            f"loss: expected finite values, got {loss} of {f'task {task!r}' if task else 'all tasks together'} at step "
            f"{step} (from 0), epoch {len(self.epochs) + 1}, learning rate {rates[step]:g}{note}",
            history,
            step=step,
            task=task,
            learning_rate=float(rates[step]),
        )
