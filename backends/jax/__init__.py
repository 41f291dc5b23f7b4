"""The JAX backend: Flax's nnx for the network, optax for the optimizers."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from backends.base import SharedBackend
from backends.batches import Batches, example_inputs
from backends.costs import Cost
from backends.jax import processes
from backends.jax.export import exported
from backends.jax.interchange import arrays_of
from backends.jax.model import Network
from backends.jax.settings import has_started, scope, start, thread_count
from backends.jax.steps import make_forward, make_gradient
from backends.jax.training import Trainer, as_arguments
from backends.layout import native_arrays
from backends.parts import Joined
from backends.predictor import Forward, Output
from backends.programs import forward_program
from backends.settings import patient_threads
from spec.model import ModelSpec
from spec.params import Params
from spec.training import Device, Part


class Backend(SharedBackend):
    """Builds flax.nnx.Modules and trains them."""

    name = "jax"
    trainer_type = Trainer
    libraries = ("jax", "jaxlib", "flax", "optax")
    alone: ClassVar = ("eager",)
    export_format = "stablehlo"
    export_suffix = ".stablehlo"
    costs: ClassVar = {
        "eager": Cost(first=3.0, step=50e-3, flops=60e9),
        "step": Cost(first=0.1, step=90e-6, flops=75e9),
        "epoch": Cost(first=0.1, step=40e-6, flops=80e9, row=200e-9),
    }

    def has_gpu(self) -> bool:
        """Whether JAX sees a GPU."""
        return any(device.platform == "gpu" for device in jax.devices())

    def native_device(self, device: str) -> jax.Device:
        """cpu or gpu as JAX's device."""
        return processes.native_device(device)

    def join(self, timeout: float, threads: int | None) -> Joined:
        """This process among those that were started together."""
        if not processes.initialize(timeout):
            self.check_threads(threads)
            return Joined()
        with patient_threads():
            self.check_threads(threads)
            return processes.joined()

    def tell(self, data: np.ndarray) -> np.ndarray:
        """The bytes (n,) of process 0, in each process that is joined."""
        return processes.tell(data)

    def part(self, device: str) -> Part:
        """The rows of each batch that this process computes."""
        return processes.part_of_process(self.native_device(device))

    def summing(self, numbers: int, times: int, device: str) -> Callable[[], None]:
        """So many sums in a row over all devices, to show what one costs; returns when they are done."""
        return processes.summing(numbers, times, self.native_device(device))

    @contextmanager
    def computing(self, threads: int | None, flops: int) -> Iterator[int]:
        """A block of which is said with how many threads JAX computes: as many as it has started with."""
        yield thread_count()

    def check_threads(self, threads: int | None) -> None:
        """Starts JAX with so many threads if it has not started yet. Raises ValueError if it has, with others.

        Those that it has started with are right even if they are more than there are cores, as the environment may ask.
        """
        if type(threads) is int and has_started() and threads == thread_count():
            return
        super().check_threads(threads)
        if threads is not None:
            start(threads)
            if threads != thread_count():
                expected = f"{thread_count()}, which JAX has started with and keeps until the process ends"
                raise ValueError(f"threads: expected {expected}, got {threads}")

    def build(self, model: ModelSpec, params: Mapping[str, np.ndarray], *, device: Device = "auto") -> Network:
        """A flax.nnx.Module; call it with (numeric, categorical) for a dict of logits by task (rows, outputs)."""
        arrays, native = native_arrays(model, params), self.native_device(self.resolve_device(device))
        network = Network(model)
        with scope(next(iter(arrays.values())).dtype, native):
            return network.bind(jax.device_put(arrays, native))

    def export(self, model: ModelSpec, params: Params) -> bytes:
        """A serialized `jax.export.Exported`: see `backends.jax.export`."""
        return exported(self.build(model, params, device="cpu"), example_inputs(model, params))

    def tensors_of(self, network: Network) -> dict[str, np.ndarray]:
        """The parameters of a flax.nnx.Module by the layout's names."""
        if not isinstance(network, nnx.Module):
            raise ValueError(f"network: expected a flax.nnx.Module, got {type(network).__name__}")
        return arrays_of(nnx.state(network))

    def forward(self, model: ModelSpec, params: Mapping[str, np.ndarray], device: Device) -> Forward:
        """The forward pass of a network with these parameters, compiled once for all networks of equal models."""
        arrays, native = native_arrays(model, params), self.native_device(self.resolve_device(device))
        dtype = next(iter(arrays.values())).dtype
        with scope(dtype, native):
            tensors = jax.device_put(arrays, native)
        passes = functools.cache(functools.partial(make_forward, forward_program(model)))
        compiled = set[tuple[Output, int]]()

        def run(output: Output, inputs: Batches) -> Params:
            program = output, len(next(iter(inputs.values())))
            with scope(dtype, native, compiles=program not in compiled):
                outputs = passes(output)(tensors, as_arguments(inputs))
                compiled.add(program)
                return {name: np.asarray(x) for name, x in outputs.items()}

        return run

    def loss_and_gradient(
        self, model: ModelSpec, params: np.ndarray, batch: Batches, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The losses (1+tasks,) of one batch and the gradient (parameters,) of their total."""
        with scope(params.dtype, self.native_device(device)):
            losses, gradient = make_gradient(model)(params, as_arguments(batch))
            return np.asarray(losses), np.asarray(gradient)

    def matmul(self, size: int, device: str) -> Callable[[], None]:
        """A float32 product of two square matrices; returns when it is done."""
        product = jax.jit(jnp.matmul)
        native = self.native_device(device)
        factor = jax.device_put(np.ones((size, size), np.float32), native)

        def run() -> None:
            with scope(factor.dtype, native):  # in full float32, as the network is computed
                product(factor, factor).block_until_ready()

        return run

    def peak_memory(self, device: str) -> int | None:
        """Bytes of the GPU's allocator at their peak; None on the CPU."""
        statistics = self.native_device(device).memory_stats() if device == "gpu" else None
        return statistics["peak_bytes_in_use"] if statistics else None
