"""What every backend does in the same way, whatever its framework: check, lay out, and call the framework's part."""

import abc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np

from backends.balancing import initial_balance, to_vectors
from backends.batches import Batches, BatchSource, constants
from backends.capabilities import Capabilities
from backends.capabilities import UnsupportedError as UnsupportedError
from backends.layout import layout_of
from backends.lazy import PARAMS
from backends.parts import Joined
from backends.predictor import Forward, SharedPredictor
from backends.programs import step_program
from backends.trainer import Trainer
from spec.data import Dataset
from spec.flops import step_flops
from spec.machine import check_threads
from spec.model import ModelSpec
from spec.params import Params, check_params, frozen_zeros
from spec.predictor import Predictor
from spec.training import WHOLE, Device, Part, TrainSpec


class SharedBackend(Capabilities):
    """The half of a `spec.Backend` that needs no framework; the other half is in the framework's folder."""

    trainer_type: Callable[..., Trainer]
    """The class in the backend's `training`."""
    libraries: tuple[str, ...]
    """The packages that decide what it computes, as pip names them."""

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
    def forward(self, model: ModelSpec, params: Mapping[str, np.ndarray], device: Device) -> Forward:
        """The forward pass of a network with these parameters, which are on the device from now on.

        A network without gates is not asked for theirs.
        """

    @abc.abstractmethod
    def tensors_of(self, network: Any) -> dict[str, np.ndarray]:
        """The parameters of a native module by the layout's names. Raises ValueError for another kind of object."""

    @abc.abstractmethod
    def loss_and_gradient(
        self, model: ModelSpec, params: np.ndarray, batch: Batches, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The losses (1+tasks,) of one batch and the gradient (parameters,) of their total.

        batch: the arrays of a step, and the `constants`.
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

    def summing(self, numbers: int, times: int, device: str) -> Callable[[], None]:
        """So many sums in a row of a float32 vector (numbers,) over all devices that share a batch, as a step has one.

        They show what a sum costs; returns when they are done. A backend whose devices share none has nothing to do.
        """
        return lambda: None

    def check_threads(self, threads: int | None) -> None:
        """Raises ValueError if the backend cannot compute with so many threads; it can choose if they are None."""
        check_threads(threads)

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
        step_spec = train.step_spec._replace(part=part)
        layout, native = layout_of(model, step_spec.lazy_batch, step_spec.frozen), self.native_device(device)
        balance = balance or initial_balance(train, len(layout.tasks))
        vector, vectors, balance = to_vectors(layout, train, params, slots or {}, balance)
        tables = {name: layout.lazy_tables(values) for name, values in {PARAMS: params, **(slots or {})}.items()}
        given = constants(layout, params, train.numbers)
        program = step_program(model)
        return self.trainer_type(program, step_spec, vector, native, execution, vectors, tables, balance, given)

    def predictor(
        self,
        model: ModelSpec,
        params: Mapping[str, np.ndarray],
        *,
        device: Device = "auto",
        threads: int | None = None,
    ) -> Predictor:
        """The network, built once: see `spec.Backend.predictor`."""
        self.check_model(model)
        self.check_threads(threads)
        precision = check_params(model, params)
        forward = self.forward(model, params, device)
        return SharedPredictor(model, precision, forward, partial(self.computing, threads))

    def params_of(self, model: ModelSpec, network: Any) -> Params:
        """The parameters of a native object: see `spec.Backend.params_of`."""
        params = layout_of(model).from_tensors(self.tensors_of(network), "network")
        check_params(model, params)
        for name, value in params.items():
            if not np.isfinite(value).all():
                raise ValueError(f"network: expected finite parameters, got {name!r} with one that is not")
        return params

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
        batch = {name: array[0] for name, array in batches.items()} | constants(layout, params)
        with self.computing(threads, step_flops(model, data.rows)):
            losses, gradient = self.loss_and_gradient(model, layout.to_vector(params), batch, resolved)
        return float(losses[0]), layout.to_params(gradient, frozen_zeros(model, params))
