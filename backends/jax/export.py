"""The trained network as a file that JAX alone reads: `jax.export`, which writes StableHLO."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, export
from jaxtyping import Float, Int

from backends.batches import Batches
from backends.jax.model import Network
from backends.jax.settings import scope
from backends.links import multiplied
from spec.losses import SCALE_FLOOR, Link

PLATFORMS = ("cpu", "cuda")
"""Where the file can be run."""


class Program:
    """The network from its encoded inputs to its predictions."""

    def __init__(self, network: Network) -> None:
        self.network, self.model = network, network.layout.model

    def __call__(
        self,
        numeric: Float[Array, "rows columns"] | None = None,
        categorical: Int[Array, "rows columns"] | None = None,
    ) -> dict[str, Array]:
        """What `spec.Backend.predict` returns."""
        return multiplied(self.model, self.network(numeric, categorical), LINKS, lognormal_parts)


def lognormal_parts(
    outputs: Float[Array, "rows 3"],
) -> tuple[Float[Array, " rows"], Float[Array, " rows"], Float[Array, " rows"]]:
    """The p, μ and σ of a zero-inflated lognormal distribution, of its head's outputs."""
    logit, location, scale = outputs.T
    return jax.nn.sigmoid(logit), location, jnp.maximum(jax.nn.softplus(scale), SCALE_FLOOR)


def lognormal_mean(outputs: Float[Array, "rows 3"]) -> Float[Array, "rows 1"]:
    """The mean of that distribution."""
    _, location, scale = lognormal_parts(outputs)
    return jnp.exp(jax.nn.log_sigmoid(outputs[:, 0]) + location + scale**2 / 2.0)[:, None]


LINKS: dict[Link, Callable[[Array], Array]] = {
    "identity": lambda outputs: outputs,
    "sigmoid": lambda logits: jax.nn.sigmoid(logits[:, 0]),
    "softmax": lambda logits: jax.nn.softmax(logits, axis=-1),
    "exponential": jnp.exp,
    "zero_inflated_lognormal": lognormal_mean,
}
"""From a head's outputs (rows, outputs) to the task's predictions."""


def exported(network: Network, inputs: Batches) -> bytes:
    """A serialized `jax.export.Exported`, whose `call` takes any number of rows and returns the predictions.

    inputs: some rows.
    """
    parameter = jax.tree.leaves(nnx.state(network, nnx.Param))[0]
    (device,) = parameter.devices()
    with scope(parameter.dtype, device):
        (any_rows,) = export.symbolic_shape("rows")
        rows = {name: jax.ShapeDtypeStruct((any_rows, array.shape[1]), array.dtype) for name, array in inputs.items()}
        program = export.export(jax.jit(Program(network)), platforms=PLATFORMS)(**rows)
        return bytes(program.serialize())
