"""The record of a run: its curves, its epochs, the best weights so far, and the snapshot to go on from."""

import hashlib
from dataclasses import dataclass

import numpy as np

from backends.balancing import balance_of
from backends.layout import Layout
from backends.trainer import Trainer, params_of, slots_of
from spec.params import Params
from spec.results import DivergenceError, Epoch, History
from spec.training import TrainSpec


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
class Snapshot:
    """The state of a run after `step` steps, which may lie within an epoch: all that is needed to go on from there."""

    backend: str
    """The one that trained it last."""
    step: int
    """Steps done."""
    params: Params
    slots: dict[str, Params]
    """By the names of `train.optimizer.slots`, then by the names of the parameters that training moves."""
    balance: Params
    """What balancing keeps: see `backends.balancing`."""
    history: History
    best: Best | None = None

    @property
    def epoch(self) -> int:
        """Epochs that have ended."""
        return len(self.history.epochs)


class Record:
    """What a run has done so far. Losses are in the layout's order, as `Trainer.run` returns them."""

    def __init__(
        self,
        layout: Layout,
        train: TrainSpec,
        trainer: Trainer,
        *,
        frozen: Params,
        execution: str,
        device: str,
        threads: int,
        processes: int,
        backend: str,
    ) -> None:
        """frozen: the parameters that training does not move, by name."""
        self.epochs: list[Epoch] = []
        self.best: Best | None = None
        self.step = 0
        self._layout, self._train, self._trainer, self._frozen = layout, train, trainer, frozen
        self.execution, self.threads, self._processes = execution, threads, processes
        self._device, self._backend = device, backend
        self._columns = 1 + len(layout.tasks)
        self._losses = np.empty((0, self._columns + (len(layout.tasks) if train.balancing.changes_weights else 0)))
        """Those of all steps, and behind them room for more."""
        self._newest = 0
        """Steps of the last call."""

    def restore(self, start: Snapshot) -> None:
        """Go on from where `start` was taken."""
        self.epochs, self.best, self.step = list(start.history.epochs), start.best, start.step
        curves = [start.history.step_loss, *(start.history.task_loss[task.name] for task in self._layout.tasks)]
        if self._train.balancing.changes_weights:
            curves += [start.history.task_weight[task.name] for task in self._layout.tasks]
        self._losses = np.stack(curves, axis=1)

    def add(self, losses: np.ndarray) -> None:
        """Takes note of a call's losses (steps, losses), as `Trainer.run` returns them."""
        done, self._newest = self.step, len(losses)
        self.step += len(losses)
        if self.step > len(self._losses):  # twice as much each time, so that each loss is moved a few times at most
            room = np.empty((max(self.step, 2 * done), losses.shape[1]))
            room[:done] = self._losses[:done]
            self._losses = room
        self._losses[done : self.step] = losses

    def params(self, *, copy: bool = True) -> Params:
        """The parameters so far. copy: whether they are new arrays, or may be views that the next call writes over."""
        return params_of(self._trainer, self._layout, self._frozen, copy=copy)

    def balance(self) -> Params:
        """What balancing keeps, so far: see `backends.balancing`."""
        return balance_of(self._layout, self._train, self._trainer)

    def losses(self) -> np.ndarray:
        """All steps' losses: float64 (steps, losses), as `Trainer.run` returns them."""
        return self._losses[: self.step]

    def newest_losses(self) -> list[float] | None:
        """The losses (1+tasks,) of the newest step, in the layout's order; None before the first."""
        return self.losses()[-1, : self._columns].tolist() if self.step else None

    def history(self) -> History:
        """The curves so far."""
        losses = self.losses()
        tasks = self._layout.model.tasks
        places = dict(zip((task.name for task in tasks), self._layout.task_places, strict=True))
        factors = losses[:, self._columns :]
        return History(
            execution=self.execution,
            device=self._device,
            threads=self.threads,
            processes=self._processes,
            step_loss=losses[:, 0],
            task_loss={task.name: losses[:, 1 + places[task.name]] for task in tasks},
            task_weight={
                task.name: factors[:, places[task.name]]
                if self._train.balancing.changes_weights
                else np.broadcast_to(task.weight, len(losses))
                for task in tasks
            },
            epochs=self.epochs,
            best_epoch=self.best.epoch if self.best else None,
        )

    def snapshot(self) -> Snapshot:
        """All that is needed to go on from here. Its arrays may be views of the trainer's, until that goes on."""
        return Snapshot(
            backend=self._backend,
            step=self.step,
            params=self.params(copy=False),
            slots=slots_of(self._trainer, self._layout, copy=False),
            balance=self.balance(),
            history=self.history(),
            best=self.best,
        )

    def fingerprints(self) -> dict[str, str]:
        """The beginning of the SHA-256 of what a step changes: the parameters, each of the slots, and the balance."""
        groups = {"parameters": self.params(copy=False), **slots_of(self._trainer, self._layout, copy=False)}
        return {name: _fingerprint(arrays) for name, arrays in {**groups, "balance": self.balance()}.items()}

    def end_epoch(self, epoch: int, steps: int) -> Epoch:
        """What the history says of epoch `epoch` (from 0) of `steps` steps; the seconds are still to come."""
        total, *task_losses = self.losses()[epoch * steps :, : self._columns].mean(axis=0).tolist()
        names = [task.name for task in self._layout.tasks]
        return {
            "epoch": epoch + 1,
            "step": self.step,
            "loss": total,
            "task_loss": dict(zip(names, task_losses, strict=True)),
            "seconds": 0.0,
        }

    def check_finite(self, rates: np.ndarray, note: str = "") -> None:
        """Raises DivergenceError if the last call has a loss that is not finite, with the curves up to that step.

        rates: the learning rate of each step of the run (steps,). note: what the message says besides.
        """
        last = self.losses()[self.step - self._newest :, : self._columns]
        if np.isfinite(last).all():
            return
        step = self.step - len(last) + int(np.argmin(np.isfinite(last).all(axis=1)))
        self.step = step + 1
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


def _fingerprint(arrays: Params) -> str:
    together = hashlib.sha256()
    for array in arrays.values():
        together.update(np.ascontiguousarray(array).data)
    return together.hexdigest()[:16]
