"""The contract of a backend, and `load_backend`, the only line of a user's program that names a framework."""

import abc
import functools
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spec.data import Dataset
from spec.model import ModelSpec
from spec.params import Params
from spec.predictor import Predictor
from spec.results import Epoch, Fitted
from spec.training import Device, TrainSpec

ProgressMode = Literal["auto", "lines", "none"]
OnEpoch = Callable[[Epoch], object]
"""Takes the record of an epoch that has ended; True ends the run."""


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """The arguments of one call of `Backend.fit`, where each is explained, as they came: nothing is checked yet."""

    model: ModelSpec
    train: TrainSpec
    data: Dataset
    validation: Dataset | None
    params: Mapping[str, np.ndarray] | None
    checkpoint: str | Path | None
    save_every: int | None
    keep: int
    resume: bool
    threads: int | None
    timeout: float
    progress: ProgressMode
    on_epoch: OnEpoch | None


class Backend(abc.ABC):
    """One framework's way to build and train the network. Arrays that enter and leave are NumPy's.

    Every method checks its arguments first, and raises ValueError naming the field, what was expected and what came.
    """

    name: str
    """That of its folder in `backends/`."""

    def __init__(self, loop: Callable[[Any, FitRequest], Fitted]) -> None:
        """loop: the training loop, which is the same for every backend: see `load_backend`."""
        self._loop = loop

    def fit(
        self,
        model: ModelSpec,
        train: TrainSpec,
        data: Dataset,
        validation: Dataset | None = None,
        params: Mapping[str, np.ndarray] | None = None,
        *,
        checkpoint: str | Path | None = None,
        save_every: int | None = None,
        keep: int = 3,
        resume: bool = False,
        threads: int | None = None,
        timeout: float = 300.0,
        progress: ProgressMode = "auto",
        on_epoch: OnEpoch | None = None,
    ) -> Fitted:
        """Train from `params`, or from the initial ones of train.seed, in train.precision.

        In a process that was started together with others, by torchrun or for jax.distributed, this trains one network
        with them: every process calls it with the same arguments, computes its share of each batch, and returns the
        same. JAX divides the batches among the devices of a process, too. Only process 0 shows progress and saves.
        Raises ProcessError if another process ends, or if one has other arguments, rows, versions or parameters. See
        docs/distributed.md.

        checkpoint: a folder to save the run in, at every epoch's end and, with save_every, after every so many steps
        of an epoch; with more than an epoch has, every so many epochs as they fill. The newest `keep` stay there, and
        the best by early stopping's monitor. In the main thread, SIGTERM and Ctrl-C then end the call in hand (of at
        most 32 steps; with execution "epoch", up to the next save), save, and exit with 143 and 130.
        resume: go on from the newest checkpoint of the folder, whichever backend saved it; start if there is none.
        The end is then that of a run that never stopped, bit for bit if backend, device, execution and threads are the
        same.
        threads: how many threads of the processor compute, in this call and no longer. None: as many as the saved run
        had, if it is resumed in the same backend; otherwise one for a small network, which more would slow down, and
        as many as the framework has for a large one. JAX is the exception: it has one number as long as the process
        lives, which is that of the first call if it says one, and that of all cores if not.
        timeout: seconds after which a process that shares the batches, and gives no sign of life, counts as dead.
        progress: what shows it on standard error: auto, a bar on a terminal and nothing elsewhere; lines, elsewhere a
        plain line every few seconds, and a last one; none, nothing.
        on_epoch: a function that is called after each epoch, and after its checkpoint if one is due, with a copy of the
        epoch's record, the last of `history.epochs`. If it returns True, the run ends as if this epoch had been the
        last: with the weights of the best epoch if there is early stopping. Whatever else it returns, the run goes on.
        An exception that it raises ends the run, and reaches the caller as it is. Only process 0 calls it, and a
        resumed run calls it for the epochs that are left.

        Raises DivergenceError if a loss is not finite and train.on_divergence says "stop". A checkpoint that cannot be
        saved is a CheckpointWarning, and training goes on.
        """
        request = FitRequest(
            model=model,
            train=train,
            data=data,
            validation=validation,
            params=params,
            checkpoint=checkpoint,
            save_every=save_every,
            keep=keep,
            resume=resume,
            threads=threads,
            timeout=timeout,
            progress=progress,
            on_epoch=on_epoch,
        )
        return self._loop(self, request)

    @abc.abstractmethod
    def predictor(
        self,
        model: ModelSpec,
        params: Mapping[str, np.ndarray],
        *,
        device: Device = "auto",
        threads: int | None = None,
    ) -> Predictor:
        """The network, checked and built once, to predict any number of rows as often as they come.

        A backend may compile for each number of rows that it meets. Rows are therefore padded to powers of two, of
        which there are few; and what is compiled serves all predictors of equal models.
        threads: as for `fit`, whenever it predicts; so few rows that there is nothing to divide are computed by one.
        """

    def predict(
        self,
        model: ModelSpec,
        params: Mapping[str, np.ndarray],
        data: Dataset,
        *,
        device: Device = "auto",
        threads: int | None = None,
    ) -> Params:
        """The predictions by task: see `Predictor.predict`. To predict again and again, keep a `predictor`."""
        return self.predictor(model, params, device=device, threads=threads).predict(data)

    def gates(
        self,
        model: ModelSpec,
        params: Mapping[str, np.ndarray],
        data: Dataset,
        *,
        device: Device = "auto",
        threads: int | None = None,
    ) -> Params:
        """The weights that each gate gives to its experts: see `Predictor.gates`."""
        return self.predictor(model, params, device=device, threads=threads).gates(data)

    @abc.abstractmethod
    def gradients(
        self,
        model: ModelSpec,
        params: Mapping[str, np.ndarray],
        data: Dataset,
        *,
        device: Device = "auto",
        threads: int | None = None,
    ) -> tuple[float, Params]:
        """The total loss over all rows as one batch, without dropout, and its gradient by parameter name.

        That of a frozen parameter is 0.
        threads: as for `fit`.
        """

    @abc.abstractmethod
    def build(self, model: ModelSpec, params: Mapping[str, np.ndarray], *, device: Device = "auto") -> Any:
        """The native object (torch.nn.Module, flax.nnx.Module) with these parameters.

        Call it with (numeric, categorical) for a dict of logits (rows, outputs) by task.
        """

    @abc.abstractmethod
    def params_of(self, model: ModelSpec, network: Any) -> Params:
        """The inverse of `build`: the parameters that a native object of this model has now, by the spec's names.

        Raises ValueError for an object of another kind or another network, and for parameters that are not finite.
        """


def backend_names() -> list[str]:
    """The folders in `backends/`."""
    return [
        module.name for module in pkgutil.iter_modules(importlib.import_module("backends").__path__) if module.ispkg
    ]


@functools.cache
def load_backend(name: str) -> Backend:
    """The backend in the folder `backends/<name>`, imported when asked for and not before; always the same object.

    This is where the parts of the project are put together: the folder's class `Backend`, and the training loop. Both
    are looked up by name, because what lies above the spec may import the spec and not the other way round.

    Raises ValueError for an unknown name, and ImportError for a missing framework, with the command that installs it if
    there is an extra of the backend's name.
    """
    if name not in backend_names():
        raise ValueError(f"backend: expected one of {', '.join(backend_names())}, got {name!r}")
    try:
        module = importlib.import_module(f"backends.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("backends", "spec"):
            raise
        command = f": pip install -e '.[{name}]'" if name in extras() else ""
        message = f"backend {name!r} needs {error.name}, which is not installed{command}"
        raise ImportError(message, name=error.name) from error
    backend: Backend = module.Backend(importlib.import_module("shared_bottom.fit").fit)
    return backend


def extras() -> list[str]:
    """The names that `pip install` takes in brackets; none where the project runs without being installed."""
    try:
        return importlib.metadata.metadata("shared-bottom").get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        return []
