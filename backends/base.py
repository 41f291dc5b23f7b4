"""What every backend does in the same way, whatever its framework: check, lay out, and call the framework's part."""

import abc
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from backends.balancing import initial_balance, to_vectors
from backends.batches import MAX_CALL_BYTES, Batches, BatchSource, chunks_of_rows, encode_inputs
from backends.costs import LOCK_STEPS, Cost, soonest
from backends.layout import layout_of
from backends.lazy import PARAMS
from backends.links import predictions
from backends.parts import Joined
from backends.trainer import Trainer
from spec import presets
from spec.backend import Backend
from spec.balancing import Balancing
from spec.data import Dataset
from spec.flops import prediction_flops, step_flops
from spec.losses import Loss
from spec.machine import check_threads
from spec.model import ModelSpec
from spec.params import Params, check_params, frozen_zeros
from spec.sharing import WAYS
from spec.training import WHOLE, Device, EmbeddingUpdates, Optimizer, Part, TrainSpec

PREDICT_ROWS = 8192
"""Most rows that one call of the network predicts."""


class UnsupportedError(ValueError):
    """A training run that makes sense and that this backend has no code for; another backend may have it."""


class SharedBackend(Backend):
    """The half of a `spec.Backend` that needs no framework; the other half is in the framework's folder."""

    trainer_type: Callable[..., Trainer]
    """The class in the backend's `training`."""
    libraries: tuple[str, ...]
    """The packages that decide what it computes, as pip names them."""
    costs: ClassVar[Mapping[str, Cost]]
    """The executions that the backend has, and of each what "auto" chooses by."""
    optimizers: ClassVar[Collection[str]] = tuple(optimizer.kind for optimizer in get_args(Optimizer))
    """The kinds of optimizer that the backend has. A folder that has all of them need not say so."""
    balancings: ClassVar[Collection[str]] = tuple(balancing.kind for balancing in get_args(Balancing))
    """The kinds of balancing that the backend has. A folder that has all of them need not say so."""
    embedding_updates: ClassVar[Collection[str]] = get_args(EmbeddingUpdates)
    """The embedding updates that the backend has. A folder that has all of them need not say so."""
    sharings: ClassVar[Collection[str]] = tuple(way().kind for way in WAYS)
    """The kinds of sharing that the backend has. A folder that has all of them need not say so."""
    losses: ClassVar[Collection[str]] = tuple(loss().kind for loss in get_args(Loss))
    """The kinds of loss that the backend has. A folder that has all of them need not say so."""

    alone: ClassVar[Collection[str]] = ()
    """The executions in which devices cannot share a batch."""

    @abc.abstractmethod
    def has_gpu(self) -> bool:
        """Whether the framework sees a GPU."""

    @abc.abstractmethod
    def native_device(self, device: str) -> Any:
        """cpu or gpu as the framework's device."""

    @abc.abstractmethod
    def computing(self, threads: int | None, flops: int) -> AbstractContextManager[int]:
        """A block in which the calling thread computes with so many threads, and which says with how many.

        threads: the number that is wanted, as far as the framework can still be told; None: what suits calls of `flops`
        floating-point operations.
        """

    @abc.abstractmethod
    def logits(self, network: Any, inputs: Batches) -> Params:
        """The native module's outputs for the rows of `inputs`, by task (rows, outputs)."""

    @abc.abstractmethod
    def loss_and_gradient(
        self, model: ModelSpec, params: np.ndarray, batch: Batches, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The losses (1+tasks,) of one batch and the gradient (parameters,) of their total.

        batch: the arrays of a step, and the layout's frozen tensors by name.
        """

    @abc.abstractmethod
    def matmul(self, size: int, device: str) -> Callable[[], None]:
        """A float32 product of two square matrices, to show the library's peak; returns when it is done."""

    @abc.abstractmethod
    def peak_memory(self, device: str) -> int | None:
        """Bytes of the device's allocator at their peak; None where it does not tell."""

    def join(self, timeout: float, threads: int | None) -> Joined:
        """This process among those that the environment or the user's program says were started together.

        They wait for each other, for so many seconds at most. A backend that trains in one process alone need not say
        so; the same holds for `tell` and `part`.

        threads: as in `check_threads`, which can be asked only once they are joined.

        Raises RuntimeError if one does not come, and ValueError as `check_threads` does.
        """
        self.check_threads(threads)
        return Joined()

    def tell(self, data: np.ndarray) -> np.ndarray:
        """The bytes (n,) of process 0, in each process that is joined. All come with as many."""
        return data

    def part(self, device: str) -> Part:
        """The rows of each batch that this process computes on the device, cpu or gpu."""
        return WHOLE

    def summing(self, numbers: int, times: int, device: str) -> Callable[[], None]:
        """So many sums in a row of a float32 vector (numbers,) over all devices that share a batch, as a step has one.

        They show what a sum costs; returns when they are done. A backend whose devices share none has nothing to do.
        """
        return lambda: None

    def missing(self, device: str) -> str | None:
        """What a compiled execution needs on this device (cpu or gpu) and this machine lacks, in words."""
        return None

    def check_threads(self, threads: int | None) -> None:
        """Raises ValueError if the backend cannot compute with so many threads; it can choose if they are None."""
        check_threads(threads)

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

    def trainer(
        self,
        model: ModelSpec,
        train: TrainSpec,
        params: Mapping[str, np.ndarray],
        execution: str,
        device: str,
        slots: Mapping[str, Mapping[str, np.ndarray]] | None = None,
        balance: Params | None = None,
        part: Part = WHOLE,
    ) -> Trainer:
        """A run that starts from `params`, and from `slots` and `balance` if given: all by the spec's names.

        part: that of each batch that this process computes; the trainer takes whole batches all the same.

        Raises UnsupportedError if the backend has no code for it.
        """
        self.check_training(train, execution, part)
        layout, native = layout_of(model, train.step_spec.lazy_batch), self.native_device(device)
        balance = balance or initial_balance(train, len(layout.tasks))
        vector, vectors, balance = to_vectors(layout, train, params, slots or {}, balance)
        tables = {name: layout.lazy_tables(values) for name, values in {PARAMS: params, **(slots or {})}.items()}
        frozen = layout.frozen_tensors(params)
        step_spec = train.step_spec._replace(part=part)
        return self.trainer_type(model, step_spec, vector, native, execution, vectors, tables, balance, frozen)

    def predict(
        self,
        model: ModelSpec,
        params: Mapping[str, np.ndarray],
        data: Dataset,
        *,
        device: Device = "auto",
        threads: int | None = None,
    ) -> Params:
        """Predict: see `spec.Backend.predict`."""
        self.check_model(model)
        self.check_threads(threads)
        precision = check_params(model, params)
        data.check(model, labels=False, precision=precision)
        network = self.build(model, params, device=device)
        layout, inputs = layout_of(model), Dataset(numeric=data.numeric, categorical=data.categorical)
        row_bytes = sum(array.nbytes for array in encode_inputs(layout, inputs.take(slice(1)), precision).values())
        size = max(1, min(PREDICT_ROWS, MAX_CALL_BYTES // row_bytes))
        with self.computing(threads, prediction_flops(model, min(size, data.rows))):
            chunks = [
                self.logits(network, encode_inputs(layout, rows, precision)) for rows in chunks_of_rows(inputs, size)
            ]
        names = (task.name for task in model.tasks)
        return predictions(model, {name: np.concatenate([c[name] for c in chunks])[: data.rows] for name in names})

    def gradients(
        self,
        model: ModelSpec,
        params: Mapping[str, np.ndarray],
        data: Dataset,
        *,
        device: Device = "auto",
        threads: int | None = None,
    ) -> tuple[float, Params]:
        """The loss and its gradient: see `spec.Backend.gradients`."""
        self.check_model(model)
        self.check_threads(threads)
        precision = check_params(model, params)
        data.check(model, precision=precision)
        layout, resolved = layout_of(model), self.resolve_device(device)
        batches = BatchSource(layout, data, data.rows, precision).take(np.arange(data.rows))
        batch = {name: array[0] for name, array in batches.items()} | layout.frozen_tensors(params)
        with self.computing(threads, step_flops(model, data.rows)):
            losses, gradient = self.loss_and_gradient(model, layout.to_vector(params), batch, resolved)
        return float(losses[0]), layout.to_params(gradient, frozen_zeros(model, params))

    def resolve_device(self, device: Device) -> Literal["cpu", "gpu"]:
        """cpu or gpu. Raises ValueError if the GPU that is asked for is not there: never a silent run on the CPU."""
        if device not in get_args(Device):
            raise ValueError(f"device: expected one of {', '.join(get_args(Device))}, got {device!r}")
        if device == "gpu" and not self.has_gpu():
            raise ValueError(f"device: expected 'cpu' or 'auto', got 'gpu', and {self.name} sees no GPU here")
        if device == "auto":
            return "gpu" if self.has_gpu() else "cpu"
        return device
