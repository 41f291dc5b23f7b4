"""The PyTorch backend."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import torch

from backends.base import SharedBackend
from backends.batches import Batches, example_inputs
from backends.costs import MANY_FLOPS, Cost
from backends.layout import native_arrays
from backends.parts import Joined
from backends.predictor import Forward, Output
from backends.torch import processes
from backends.torch.export import exported
from backends.torch.interchange import arrays_of
from backends.torch.model import Network
from backends.torch.settings import inference_scope, missing_compiler, scope, thread_count
from backends.torch.steps import make_gradient
from backends.torch.training import Trainer
from spec.machine import cores
from spec.model import ModelSpec
from spec.params import Params
from spec.training import Device, Part


class Backend(SharedBackend):
    """Builds torch.nn.Modules and trains them."""

    name = "torch"
    trainer_type = Trainer
    libraries = ("torch",)
    export_format = "torch"
    export_suffix = ".pt2"
    costs: ClassVar = {
        "eager": Cost(first=0.0, step=580e-6, flops=60e9, row=350e-9),
        "step": Cost(first=3.0, step=120e-6, flops=80e9),
        "epoch": Cost(first=5.0, step=70e-6, flops=82e9, row=350e-9),
    }

    def has_gpu(self) -> bool:
        """Whether PyTorch sees a CUDA (or ROCm) device."""
        return torch.cuda.is_available()

    def missing(self, device: str) -> str | None:
        """What PyTorch needs to compile for the device and does not find. On a GPU it brings its own compiler."""
        return missing_compiler() if device == "cpu" else None

    def native_device(self, device: str) -> torch.device:
        """cpu or gpu as PyTorch's device."""
        return processes.native_device(device)

    def join(self, timeout: float, threads: int | None) -> Joined:
        """This process among those that were started together."""
        several = processes.initialize(timeout)
        self.check_threads(threads)
        return processes.joined() if several else Joined()

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
        """A block in which the calling thread computes with so many threads, and which says with how many.

        By itself it takes no more than PyTorch has here: all cores, unless OMP_NUM_THREADS or torch.set_num_threads
        says otherwise.
        """
        number = threads or (1 if flops < MANY_FLOPS else min(torch.get_num_threads(), len(cores())))
        with thread_count(number):
            yield number

    def build(self, model: ModelSpec, params: Mapping[str, np.ndarray], *, device: Device = "auto") -> Network:
        """A torch.nn.Module; call it with (numeric, categorical) for a dict of logits by task (rows, outputs)."""
        arrays, native = native_arrays(model, params), self.native_device(self.resolve_device(device))
        with scope():  # where the caller is in inference mode, a module of such tensors could never be trained
            network = Network(model, native)
            network.load_state_dict({name: torch.tensor(a, device=native) for name, a in arrays.items()}, assign=True)
            return network

    def export(self, model: ModelSpec, params: Params) -> bytes:
        """The content of a .pt2 file: see `backends.torch.export`."""
        return exported(self.build(model, params, device="cpu"), example_inputs(model, params))

    def tensors_of(self, network: Network) -> dict[str, np.ndarray]:
        """The parameters of a torch.nn.Module by the layout's names."""
        if not isinstance(network, torch.nn.Module):
            raise ValueError(f"network: expected a torch.nn.Module, got {type(network).__name__}")
        return arrays_of(network.state_dict())

    def forward(self, model: ModelSpec, params: Mapping[str, np.ndarray], device: Device) -> Forward:
        """The forward pass of a network with these parameters."""
        network = self.build(model, params, device=device)
        native = next(network.parameters()).device
        passes: dict[Output, Callable[..., dict[str, torch.Tensor]]]
        passes = {"logits": network, "gates": network.gates, "trunk_outputs": network.trunk_outputs}

        def run(output: Output, inputs: Batches) -> Params:
            with inference_scope():
                tensors = {name: torch.from_numpy(array).to(native) for name, array in inputs.items()}
                return {name: x.numpy(force=True) for name, x in passes[output](**tensors).items()}

        return run

    def loss_and_gradient(
        self, model: ModelSpec, params: np.ndarray, batch: Batches, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The losses (1+tasks,) of one batch and the gradient (parameters,) of their total."""
        native = self.native_device(device)
        with scope():
            tensors = {name: torch.from_numpy(array).to(native) for name, array in batch.items()}
            losses, gradient = make_gradient(model, native)(torch.tensor(params, device=native), tensors)
        return losses.numpy(force=True), gradient.numpy(force=True)

    def matmul(self, size: int, device: str) -> Callable[[], None]:
        """A float32 product of two square matrices; returns when it is done."""
        factor = torch.ones(size, size, device=self.native_device(device))

        def product() -> None:
            with scope():  # in full float32, as the network is computed
                (factor @ factor)[0, 0].item()

        return product

    def peak_memory(self, device: str) -> int | None:
        """Bytes of the GPU's allocator at their peak; None on the CPU."""
        return torch.cuda.max_memory_allocated() if device == "gpu" else None
