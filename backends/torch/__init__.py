"""The PyTorch backend."""

from collections.abc import Mapping

import numpy as np
import torch

from backends.base import SharedBackend
from backends.batches import Batches
from backends.torch.model import SharedBottom
from backends.torch.training import Trainer, make_gradient
from spec.model import ModelSpec
from spec.params import Params
from spec.training import Device


class TorchBackend(SharedBackend):
    """Builds torch.nn.Modules and trains them."""

    name = "torch"
    trainer_type = Trainer
    libraries = ("torch",)

    def has_gpu(self) -> bool:
        """Whether PyTorch sees a CUDA (or ROCm) device."""
        return torch.cuda.is_available()

    def native_device(self, device: str) -> torch.device:
        """cpu or gpu as PyTorch's device."""
        return torch.device("cuda" if device == "gpu" else "cpu")

    def best_execution(self, steps: int) -> str:
        """Compiling the scan takes about 10 s on a CPU and saves about 0.5 ms a step of a small network."""
        return "epoch" if steps >= 20_000 else "eager"

    def build(self, model: ModelSpec, params: Mapping[str, np.ndarray], *, device: Device = "auto") -> SharedBottom:
        """A torch.nn.Module; call it with (numeric, categorical) for a dict of logits by task (rows, outputs)."""
        flat, native = self.packed(model, params), self.native_device(self.resolve_device(device))
        network = SharedBottom(model, native)
        tensors = network.layout.split(torch.tensor(flat, device=native))
        network.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()}, assign=True)
        return network.requires_grad_()

    def logits(self, network: SharedBottom, inputs: Batches) -> Params:
        """The network's outputs for the rows of `inputs`, by task (rows, outputs)."""
        device = next(network.parameters()).device
        tensors = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
        with torch.inference_mode():
            return {task: x.numpy(force=True) for task, x in network(**tensors).items()}

    def loss_and_gradient(
        self, model: ModelSpec, params: np.ndarray, batch: Batches, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The losses (1+tasks,) of one batch and the gradient (parameters,) of their total."""
        native = self.native_device(device)
        tensors = {name: torch.from_numpy(array).to(native) for name, array in batch.items()}
        losses, gradient = make_gradient(model, params.dtype, native)(torch.tensor(params, device=native), tensors)
        return losses.numpy(force=True), gradient.numpy(force=True)


backend = TorchBackend()
