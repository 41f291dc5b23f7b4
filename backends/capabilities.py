"""What a backend has code for, and what of it suits a run: kinds of network, training, executions and devices."""

import abc
import warnings
from collections.abc import Collection, Mapping
from typing import ClassVar, Literal, get_args

from backends.costs import LOCK_STEPS, Cost, soonest
from spec import presets
from spec.backend import Backend
from spec.balancing import Balancing
from spec.losses import Loss
from spec.model import ModelSpec
from spec.optimizers import Optimizer
from spec.params import Params
from spec.sharing import WAYS
from spec.training import WHOLE, Device, EmbeddingUpdates, Part, TrainSpec


class UnsupportedError(ValueError):
    """A training run that makes sense and that this backend has no code for; another backend may have it."""


class Capabilities(Backend):
    """The part of a backend that says what it has. A folder that has all kinds of something need not say so."""

    costs: ClassVar[Mapping[str, Cost]]
    """The executions that the backend has, and of each what "auto" chooses by."""
    optimizers: ClassVar[Collection[str]] = tuple(optimizer.kind for optimizer in get_args(Optimizer))
    """The kinds of optimizer that the backend has."""
    balancings: ClassVar[Collection[str]] = tuple(balancing.kind for balancing in get_args(Balancing))
    """The kinds of balancing that the backend has."""
    embedding_updates: ClassVar[Collection[str]] = get_args(EmbeddingUpdates)
    """The embedding updates that the backend has."""
    sharings: ClassVar[Collection[str]] = tuple(way().kind for way in WAYS)
    """The kinds of sharing that the backend has."""
    losses: ClassVar[Collection[str]] = tuple(loss().kind for loss in get_args(Loss))
    """The kinds of loss that the backend has."""

    export_format: ClassVar[str] = ""
    """How `export` writes a network, in the words of the command line; empty where it writes none."""
    export_suffix: ClassVar[str] = ""
    """How the names of such files end."""

    alone: ClassVar[Collection[str]] = ()
    """The executions in which devices cannot share a batch."""

    @abc.abstractmethod
    def has_gpu(self) -> bool:
        """Whether the framework sees a GPU."""

    def missing(self, device: str) -> str | None:
        """What a compiled execution needs on this device (cpu or gpu) and this machine lacks, in words."""
        return None

    def export(self, model: ModelSpec, params: Params) -> bytes:
        """A network as the content of a file that the framework alone reads.

        It takes the arrays `numeric` (rows, columns), in the precision of the parameters, and `categorical` (rows,
        columns), int32, as far as the network has them, and returns what `spec.Backend.predict` does.

        Raises UnsupportedError if the backend writes no such files, and ValueError for params that do not fit.
        """
        raise UnsupportedError(f"export: expected a backend that writes networks to files, got {self.name!r}")

    def part(self, device: str) -> Part:
        """The rows of each batch that this process computes on the device, cpu or gpu."""
        return WHOLE

    def best_execution(self, model: ModelSpec, train: TrainSpec, steps: int) -> str:
        """What "auto" means: the execution that ends a run of so many steps first, compiling included.

        It is eager, with a warning, if this machine lacks what the others need.
        """
        device = self.resolve_device(train.device)
        costs = {execution: self.costs[execution] for execution in self.executions(self.part(device))}
        best = soonest(costs, model, train, steps)
        if best != "eager" and (lacking := self.missing(device)):
            warnings.warn(f"execution: {best!r} needs {lacking}, not found here; 'eager' is used", stacklevel=2)
            return "eager"
        return best

    @property
    def lock_step(self) -> str:
        """The execution that ends a few hundred single steps first. A scan is not among them: it needs many at once."""
        single = {execution: cost for execution, cost in self.costs.items() if execution != "epoch"}
        return soonest(single, presets.tutorial_model(), presets.tutorial_training(), LOCK_STEPS)

    def executions(self, part: Part) -> list[str]:
        """Those that the backend has where a process computes this part of each batch."""
        return [execution for execution in self.costs if part.of == 1 or execution not in self.alone]

    def check_model(self, model: ModelSpec) -> None:
        """Raises UnsupportedError, naming the field, if the backend has no code for this network."""
        kinds: list[tuple[str, str, Collection[str]]] = [("sharing", model.sharing.kind, self.sharings)]
        kinds += [(f"loss of the task {task.name!r}", task.objective.kind, self.losses) for task in model.tasks]
        for field, asked, supported in kinds:
            if asked not in supported:
                expected = f"one of {', '.join(supported)}, which backend {self.name!r} has"
                raise UnsupportedError(f"{field}: expected {expected}, got {asked!r}")

    def check_training(self, train: TrainSpec, execution: str, part: Part = WHOLE) -> None:
        """Raises UnsupportedError, naming the field, if the backend has no code for this run by this execution.

        part: the rows of each batch that this process computes.

        Raises ValueError if it has, and this machine lacks what the execution needs.
        """
        for field, asked, supported in (
            ("execution", execution, ("auto", *self.executions(part))),
            ("optimizer", train.optimizer.kind, self.optimizers),
            ("balancing", train.balancing.kind, self.balancings),
            ("embedding_updates", train.embedding_updates, self.embedding_updates),
        ):
            if asked not in supported:
                expected = f"one of {', '.join(supported)}, which backend {self.name!r} has"
                if asked in self.alone:
                    expected += f" where {part.of} devices share each batch"
                raise UnsupportedError(f"{field}: expected {expected}, got {asked!r}")
        if execution not in ("auto", "eager") and (lacking := self.missing(self.resolve_device(train.device))):
            raise ValueError(f"execution: expected 'eager', or {lacking} to compile with, got {execution!r}")

    def resolve_device(self, device: Device) -> Literal["cpu", "gpu"]:
        """cpu or gpu. Raises ValueError if the GPU that is asked for is not there: never a silent run on the CPU."""
        if device not in get_args(Device):
            raise ValueError(f"device: expected one of {', '.join(get_args(Device))}, got {device!r}")
        if device == "gpu" and not self.has_gpu():
            raise ValueError(f"device: expected 'cpu' or 'auto', got 'gpu', and {self.name} sees no GPU here")
        if device == "auto":
            return "gpu" if self.has_gpu() else "cpu"
        return device
