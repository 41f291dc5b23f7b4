"""The NumPy backend: no framework, no compiler, gradients written out.

It trains Shared-Bottom networks by SGD, with fixed task weights and each kind's default loss.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
from threadpoolctl import threadpool_limits

from backends.base import SharedBackend, UnsupportedError
from backends.batches import Batches
from backends.costs import MANY_FLOPS, Cost
from backends.layout import layout_of
from backends.numpy_eager.gradients import loss_and_gradient
from backends.numpy_eager.model import Network
from backends.numpy_eager.training import Trainer
from backends.predictor import Forward
from spec.machine import cores
from spec.model import ModelSpec
from spec.params import check_params
from spec.training import Device


class Backend(SharedBackend):
    """Builds networks of NumPy arrays and trains them."""

    name = "numpy_eager"
    trainer_type = Trainer
    libraries = ("scipy",)
    costs: ClassVar = {"eager": Cost(first=0.0, step=300e-6, flops=50e9)}
    optimizers = ("sgd",)
    balancings = ("fixed",)
    embedding_updates = ("dense",)
    sharings = ("shared_bottom",)
    losses = ("log_loss", "squared", "cross_entropy")

    def check_model(self, model: ModelSpec) -> None:
        """Refuses what the kinds do not say: a loss's options, and tasks that are given another."""
        super().check_model(model)
        for task in model.tasks:
            if not task.objective.plain:
                raise UnsupportedError(f"loss of the task {task.name!r}: expected no options, got {task.objective}")
            if task.given:
                raise UnsupportedError(f"given: expected none for the task {task.name!r}, got {task.given!r}")

    def has_gpu(self) -> bool:
        """NumPy sees none."""
        return False

    def native_device(self, device: str) -> str:
        """NumPy has no device of its own."""
        return device

    @contextmanager
    def computing(self, threads: int | None, flops: int) -> Iterator[int]:
        """A block in which NumPy's matrix products use so many threads."""
        number = threads or (1 if flops < MANY_FLOPS else len(cores()))
        with threadpool_limits(number):
            yield number

    def build(self, model: ModelSpec, params: Mapping[str, np.ndarray], *, device: Device = "auto") -> Network:
        """A network of arrays; call it with (numeric, categorical) for a dict of logits by task (rows, outputs)."""
        self.check_model(model)
        check_params(model, params)
        self.resolve_device(device)
        layout = layout_of(model)
        return Network(layout, layout.to_vector(params), layout.frozen_tensors(params))

    def tensors_of(self, network: Network) -> dict[str, np.ndarray]:
        """The parameters of a network by the layout's names."""
        return network.tensors

    def forward(self, model: ModelSpec, params: Mapping[str, np.ndarray], device: Device) -> Forward:
        """The forward pass of a network with these parameters."""
        network = self.build(model, params, device=device)
        passes = {"logits": network, "trunk_outputs": network.trunk_outputs}
        return lambda output, inputs: passes[output](**inputs)

    def loss_and_gradient(
        self, model: ModelSpec, params: np.ndarray, batch: Batches, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The losses (1+tasks,) of one batch and the gradient (parameters,) of their total."""
        return loss_and_gradient(Network(layout_of(model), params, batch), batch)

    def matmul(self, size: int, device: str) -> Callable[[], None]:
        """A float32 product of two square matrices; returns when it is done."""
        factor = np.ones((size, size), np.float32)

        def product() -> None:
            factor @ factor

        return product

    def peak_memory(self, device: str) -> int | None:
        """NumPy does not tell."""
        return None
