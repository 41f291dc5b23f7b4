"""A level of experts, and the gates that weigh their outputs: see `spec.sharing`."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from backends import stacks
from backends.jax.layers import Dense, product, through, through_all, unloaded
from spec.model import ModelSpec
from spec.training import Part


class Gate(nnx.Module):
    """The weights of experts, for each row: those of one gate, or of several tied ones, which have a leading axis."""

    def __init__(self, gates: stacks.TiedGates) -> None:
        self.kernel = unloaded(*gates.shape)

    def __call__(self, x: Float[Array, "*members rows inputs"]) -> Float[Array, "*members rows experts"]:
        """x: as in `Dense`."""
        kernel = self.kernel[...]
        logits = (product if x.ndim == kernel.ndim else through_all)(x, kernel)
        return jax.nn.softmax(logits, axis=-1)


class Level(nnx.Module):
    """Experts side by side, and the gates that weigh their outputs."""

    def __init__(self, level: stacks.TiedLevel, model: ModelSpec, part: Part) -> None:
        self.tasks, sharing = len(model.tasks), model.sharing
        self.task_experts, self.shared_experts = sharing.task_experts, sharing.shared_experts
        self.experts = nnx.List([Dense(dense, model, part) for dense in level.experts.layers])
        self.task_gates = Gate(level.task_gates)
        self.shared_gate = Gate(level.shared_gate) if level.shared_gate else None

    def __call__(self, of_tasks: Array, shared: Array, step_key: Int[Array, ""] | None) -> tuple[Array, Array]:
        """What each task takes from this level (tasks, rows, width), and the shared experts above it (rows, width).

        of_tasks, shared: the same of the level below; or else the network's inputs, (rows, width) both.
        """
        experts = through(self.experts, self.inputs(of_tasks, shared), step_key)
        of_tasks = self.mixed(self.task_gates(of_tasks), experts)
        if self.shared_gate is None:
            return of_tasks, shared
        return of_tasks, jnp.einsum("re,erw->rw", self.shared_gate(shared), experts)

    def inputs(self, of_tasks: Array, shared: Array) -> Float[Array, "*experts rows width"]:
        """What the experts take: without an axis of experts if it is the same for all."""
        if of_tasks is shared:
            return shared
        each = jnp.repeat(of_tasks, self.task_experts, axis=0)
        return jnp.concatenate([each, jnp.broadcast_to(shared, (self.shared_experts, *shared.shape))])

    def mixed(
        self, weights: Float[Array, "tasks rows experts"], experts: Float[Array, "all rows width"]
    ) -> Float[Array, "tasks rows width"]:
        """For each task the sum, by its weights, of the outputs of its experts and of the shared ones."""
        count = self.task_experts
        shared = jnp.einsum("tre,erw->trw", weights[..., count:], experts[self.tasks * count :])
        if not count:
            return shared
        each = experts[: self.tasks * count].reshape(self.tasks, count, *experts.shape[1:])
        return jnp.einsum("tre,terw->trw", weights[..., :count], each) + shared
