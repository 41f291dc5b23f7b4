"""The training step, pure: (state, batch) -> (state, losses); and its three executions.

eager   the step as Python runs it, operation by operation
step    jax.jit of one step, called for each
epoch   jax.jit of a scan over all steps of a call: no Python between them
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float

from backends.jax import optimizers
from backends.jax.balancing import BALANCINGS
from backends.jax.gradients import Batch, loss_and_gradient
from backends.jax.lazy import lazy_step
from backends.jax.model import Network
from backends.jax.processes import over_devices
from backends.jax.state import Losses, Run, Step, TrainState
from backends.layout import layout_of
from backends.predictor import Output
from spec.model import ModelSpec
from spec.training import StepSpec


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
    return TrainState(params, optimizer_state, balance, state.tables), losses


def make_run(
    model: ModelSpec, step_spec: StepSpec, dtype: np.dtype, execution: str, devices: Mesh | None = None
) -> Run:
    """A function (state, batches of steps, frozen tensors by name) -> (state, losses (steps, losses)).

    devices: those that share each batch; None if one has it alone.
    """
    if execution == "eager":
        return jax.disable_jit()(functools.partial(loop_steps, make_step(model, step_spec, dtype)))
    return compiled_run(model, step_spec, dtype, execution, devices)


@functools.lru_cache(maxsize=32)
def compiled_run(model: ModelSpec, step_spec: StepSpec, dtype: np.dtype, execution: str, devices: Mesh | None) -> Run:
    """The function of `make_run` where it is compiled: once for equal arguments."""
    step = make_step(model, step_spec, dtype)
    run = step if execution == "step" else functools.partial(scan_steps, step)
    if devices is None:
        run = jax.jit(run, donate_argnums=0)
    else:
        run = over_devices(run, layout_of(model, step_spec.lazy_batch), devices, leading=int(execution == "epoch"))
    return functools.partial(loop_steps, run) if execution == "step" else run


def make_step(model: ModelSpec, step_spec: StepSpec, dtype: np.dtype) -> Step:
    """The step of one network."""
    network = Network(model, step_spec.lazy_batch, step_spec.part)
    step = functools.partial(train_step, network, task_weights(network, dtype), step_spec)
    return functools.partial(lazy_step, network.layout, step) if network.layout.lazy else step


@functools.lru_cache(maxsize=32)
def make_gradient(model: ModelSpec, dtype: np.dtype) -> Callable[..., tuple[Losses, Float[Array, " parameters"]]]:
    """A compiled function (params, batch) -> (losses, gradient)."""
    network = Network(model)
    return jax.jit(functools.partial(loss_and_gradient, network, task_weights(network, dtype)))


@functools.lru_cache(maxsize=32)
def make_forward(model: ModelSpec, output: Output) -> Callable[[Batch, Batch], Batch]:
    """A compiled function (the network's tensors by name, the inputs of some rows) -> an output of the network."""
    network = Network(model)
    passes = {"logits": Network.__call__, "gates": Network.gates, "trunk_outputs": Network.trunk_outputs}
    return jax.jit(lambda tensors, inputs: passes[output](network.bind(tensors), **inputs))


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
