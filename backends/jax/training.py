"""The training step, pure: (state, batch) -> (state, losses); and its three executions.

eager   the step as Python runs it, operation by operation
step    jax.jit of one step, called for each
epoch   jax.jit of a scan over all steps of a call: no Python between them
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from backends.batches import Batches
from backends.jax import optimizers
from backends.jax.balancing import BALANCINGS, Balance
from backends.jax.gradients import Batch, loss_and_gradient
from backends.jax.model import Network
from backends.jax.settings import scope
from spec.model import ModelSpec
from spec.training import StepSpec


class TrainState(NamedTuple):
    """All that a step changes."""

    params: Float[Array, " parameters"]
    optimizer: optax.OptState
    balance: Balance


Losses = Float[Array, " losses"]
"""The total loss, then each task's in the layout's order; then, where they move, the factors that the tasks counted by.
"""
Step = Callable[[TrainState, Batch], tuple[TrainState, Losses]]
Run = Callable[[TrainState, Batch, Batch], tuple[TrainState, Losses]]


def train_step(
    network: Network,
    weights: Float[np.ndarray, " tasks"],
    step_spec: StepSpec,
    state: TrainState,
    batch: Batch,
) -> tuple[TrainState, Losses]:
    """One optimizer step on one batch."""
    balanced = BALANCINGS[step_spec.balancing.kind]
    task_weights = jnp.asarray(weights)
    losses, gradient, balance = balanced(step_spec.balancing, network, task_weights, state.params, state.balance, batch)
    params, optimizer_state = optimizers.update(
        step_spec.optimizer,
        step_spec.clip_norm,
        gradient,
        state.optimizer,
        batch["debias"],
        state.params,
        batch["learning_rate"],
    )
    return TrainState(params, optimizer_state, balance), losses


def make_run(model: ModelSpec, step_spec: StepSpec, dtype: np.dtype, execution: str) -> Run:
    """A function (state, batches of steps, frozen tensors by name) -> (state, losses (steps, losses))."""
    if execution == "eager":
        return jax.disable_jit()(functools.partial(loop_steps, make_step(model, step_spec, dtype)))
    return compiled_run(model, step_spec, dtype, execution)


@functools.lru_cache(maxsize=32)
def compiled_run(model: ModelSpec, step_spec: StepSpec, dtype: np.dtype, execution: str) -> Run:
    """The function of `make_run` where it is compiled: once for equal arguments."""
    step = make_step(model, step_spec, dtype)
    if execution == "step":
        return functools.partial(loop_steps, jax.jit(step, donate_argnums=0))
    return jax.jit(functools.partial(scan_steps, step), donate_argnums=0)


def make_step(model: ModelSpec, step_spec: StepSpec, dtype: np.dtype) -> Step:
    """The step of one network."""
    network = Network(model)
    return functools.partial(train_step, network, task_weights(network, dtype), step_spec)


@functools.lru_cache(maxsize=32)
def make_gradient(model: ModelSpec, dtype: np.dtype) -> Callable[..., tuple[Losses, Float[Array, " parameters"]]]:
    """A compiled function (params, batch) -> (losses, gradient)."""
    network = Network(model)
    return jax.jit(functools.partial(loss_and_gradient, network, task_weights(network, dtype)))


def loop_steps(
    step: Step, state: TrainState, batches: Batch, frozen: Batch
) -> tuple[TrainState, Float[Array, "steps losses"]]:
    """Call the step for each batch. The batches are NumPy's: to unstack them in JAX compiles an output a step."""
    losses = []
    for i in range(len(batches["learning_rate"])):
        state, loss = step(state, {**{name: array[i] for name, array in batches.items()}, **frozen})
        losses.append(loss)
    return state, jnp.stack(losses)


def scan_steps(
    step: Step, state: TrainState, batches: Batch, frozen: Batch
) -> tuple[TrainState, Float[Array, "steps losses"]]:
    """The same loop as one operation."""
    return jax.lax.scan(lambda state, batch: step(state, {**batch, **frozen}), state, batches)


def task_weights(network: Network, dtype: np.dtype) -> Float[np.ndarray, " tasks"]:
    """The tasks' weights in the layout's order. JAX keeps a constant in the precision that the first run gave it."""
    return np.array([task.weight for task in network.layout.tasks], dtype)


def as_arguments(batches: Batches) -> dict[str, Any]:
    """The arrays as a compiled function takes them: it moves NumPy's to the device itself, in a third of the time of
    device_put. Dropout keys become uint32, where the hash works without int64."""
    return {name: array.astype(np.uint32) if name == "dropout_key" else array for name, array in batches.items()}


class Trainer:
    """A run in progress: holds the state on its device and feeds it batches."""

    def __init__(
        self,
        model: ModelSpec,
        step_spec: StepSpec,
        params: np.ndarray,
        device: jax.Device,
        execution: str,
        slots: Mapping[str, np.ndarray],
        balance: Mapping[str, np.ndarray],
        frozen: Mapping[str, np.ndarray],
    ) -> None:
        self.device, self.dtype = device, params.dtype
        self.slot_names = step_spec.optimizer.slots
        self._run = make_run(model, step_spec, params.dtype, execution)
        with scope(self.dtype, device):
            vector = jax.device_put(params.copy(), device)
            optimizer_state = optimizers.init(step_spec.optimizer, vector)
            optimizer_state = optax.tree_utils.tree_set(optimizer_state, **slots)
            self.state = TrainState(vector, *jax.device_put((optimizer_state, dict(balance)), device))
            self.frozen = jax.device_put(dict(frozen), device)

    def run(self, batches: Batches) -> np.ndarray:
        """Train on all steps of `batches`; returns when done, with the losses: float64 (steps, losses)."""
        with scope(self.dtype, self.device):
            self.state, losses = self._run(self.state, as_arguments(batches), self.frozen)
            return np.asarray(losses, dtype=np.float64)

    def params(self) -> np.ndarray:
        """The parameters so far, and the numbers learned beside them: (parameters,)."""
        return np.array(self.state.params)

    def slots(self) -> dict[str, np.ndarray]:
        """The optimizer's vectors so far, by name: (parameters,)."""
        return {name: np.array(optax.tree_utils.tree_get(self.state.optimizer, name)) for name in self.slot_names}

    def balance(self) -> dict[str, np.ndarray]:
        """What balancing keeps, so far, by name: (tasks,)."""
        return {name: np.array(numbers) for name, numbers in self.state.balance.items()}
