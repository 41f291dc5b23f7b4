"""The JAX backend: Flax's nnx for the network, optax for the optimizers."""

from collections.abc import Mapping

import jax
import numpy as np

from backends.base import SharedBackend
from backends.batches import Batches
from backends.jax.model import SharedBottom
from backends.jax.training import Trainer, as_arguments, make_gradient, merge, scope
from spec.model import ModelSpec
from spec.params import Params
from spec.training import Device


class JaxBackend(SharedBackend):
    """Builds flax.nnx.Modules and trains them."""

    name = "jax"
    trainer_type = Trainer
    libraries = ("jax", "jaxlib", "flax", "optax")

    def has_gpu(self) -> bool:
        """Whether JAX sees a GPU."""
        return any(device.platform == "gpu" for device in jax.devices())

    def native_device(self, device: str) -> jax.Device:
        """cpu or gpu as JAX's device."""
        return jax.devices(device)[0]

    def best_execution(self, steps: int) -> str:
        """Compiling the scan takes about a second, as long as some fifty steps without it."""
        return "epoch"

    def build(self, model: ModelSpec, params: Mapping[str, np.ndarray], *, device: Device = "auto") -> SharedBottom:
        """A flax.nnx.Module; call it with (numeric, categorical) for a dict of logits by task (rows, outputs)."""
        flat, native = self.packed(model, params), self.native_device(self.resolve_device(device))
        network = SharedBottom(model)
        with scope(flat.dtype, native):
            return merge(network, network.layout.split(jax.device_put(flat, native)))

    def logits(self, network: SharedBottom, inputs: Batches) -> Params:
        """The network's outputs for the rows of `inputs`, by task (rows, outputs)."""
        kernel = network.trunk[0].kernel[...]
        (device,) = kernel.devices()
        with scope(kernel.dtype, device):
            return {task: np.asarray(x) for task, x in network(**as_arguments(inputs)).items()}

    def loss_and_gradient(
        self, model: ModelSpec, params: np.ndarray, batch: Batches, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The losses (1+tasks,) of one batch and the gradient (parameters,) of their total."""
        with scope(params.dtype, self.native_device(device)):
            losses, gradient = make_gradient(model)(params, as_arguments(batch))
            return np.asarray(losses), np.asarray(gradient)


backend = JaxBackend()
