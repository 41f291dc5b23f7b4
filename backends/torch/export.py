"""The trained network as a file that PyTorch alone reads: `torch.export`."""

import io
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from backends.batches import Batches
from backends.links import multiplied
from backends.torch.model import Network
from backends.torch.settings import scope
from spec.losses import SCALE_FLOOR, Link


class Program(nn.Module):
    """The network from its encoded inputs to its predictions."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.model = network, network.layout.model

    def forward(
        self,
        numeric: Float[Tensor, "rows columns"] | None = None,
        categorical: Int[Tensor, "rows columns"] | None = None,
    ) -> dict[str, Tensor]:
        """What `spec.Backend.predict` returns."""
        return multiplied(self.model, self.network(numeric, categorical), LINKS, lognormal_parts)


def lognormal_parts(
    outputs: Float[Tensor, "rows 3"],
) -> tuple[Float[Tensor, " rows"], Float[Tensor, " rows"], Float[Tensor, " rows"]]:
    """The p, μ and σ of a zero-inflated lognormal distribution, of its head's outputs."""
    logit, location, scale = outputs.unbind(-1)
    return logit.sigmoid(), location, F.softplus(scale, threshold=40.0).clamp(min=SCALE_FLOOR)


def lognormal_mean(outputs: Float[Tensor, "rows 3"]) -> Float[Tensor, "rows 1"]:
    """The mean of that distribution."""
    _, location, scale = lognormal_parts(outputs)
    return (F.logsigmoid(outputs[:, 0]) + location + scale.square() / 2.0).exp().unsqueeze(-1)


LINKS: dict[Link, Callable[[Tensor], Tensor]] = {
    "identity": lambda outputs: outputs,
    "sigmoid": lambda logits: logits[:, 0].sigmoid(),
    "softmax": lambda logits: logits.softmax(-1),
    "exponential": torch.exp,
    "zero_inflated_lognormal": lognormal_mean,
}
"""From a head's outputs (rows, outputs) to the task's predictions."""


def exported(network: Network, inputs: Batches) -> bytes:
    """The content of a .pt2 file, whose module takes any number of rows and returns the predictions.

    inputs: some rows.
    """
    file = io.BytesIO()
    with scope(), torch.no_grad():
        rows = {name: torch.from_numpy(array) for name, array in inputs.items()}
        any_rows = {name: {0: torch.export.Dim.DYNAMIC} for name in rows}
        program = torch.export.export(Program(network).eval().requires_grad_(False), (), rows, dynamic_shapes=any_rows)
        torch.export.save(program, file)
    return file.getvalue()
