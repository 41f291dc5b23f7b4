"""The training step, pure: (state, batch) -> (state, losses); and its three executions.

eager   the step as Python runs it, operation by operation
step    jax.jit of one step, called for each
epoch   jax.jit of a scan over all steps of a call: no Python between them
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
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


def train_step(network: Network, step_spec: StepSpec, state: TrainState, batch: Batch) -> tuple[TrainState, Losses]:
    """One optimizer step on one batch."""
    balanced, weights = BALANCINGS[step_spec.balancing.kind], batch["task_weights"]
    losses, gradient, balance = balanced(step_spec.balancing, network, weights, state.params, state.balance, batch)
    params, optimizer_state = optimizers.update(step_spec.optimizer, gradient, state.optimizer, state.params, batch)
    return TrainState(params, optimizer_state, balance, state.tables), losses


def make_run(model: ModelSpec, step_spec: StepSpec, execution: str, devices: Mesh | None = None) -> Run:
    """A function (state, batches of steps, constants) -> (state, losses (steps, losses)).

    devices: those that share each batch; None if one has it alone.
    """
    if execution == "eager":
        return jax.disable_jit()(functools.partial(loop_steps, make_step(model, step_spec)))
    return compiled_run(model, step_spec, execution, devices)


@functools.lru_cache(maxsize=32)
def compiled_run(model: ModelSpec, step_spec: StepSpec, execution: str, devices: Mesh | None) -> Run:
    """The function of `make_run` where it is compiled: once for equal arguments."""
    step = make_step(model, step_spec)
    run = step if execution == "step" else functools.partial(scan_steps, step)
    if devices is None:
        run = jax.jit(run, donate_argnums=0)
    else:
        layout = layout_of(model, step_spec.lazy_batch, step_spec.frozen)
        run = over_devices(run, layout, devices, leading=int(execution == "epoch"))
    return functools.partial(loop_steps, run) if execution == "step" else run


def make_step(model: ModelSpec, step_spec: StepSpec) -> Step:
    """The step of one network."""
    network = Network(model, step_spec.lazy_batch, step_spec.frozen, step_spec.part)
    step = functools.partial(train_step, network, step_spec)
    return functools.partial(lazy_step, network.layout, step) if network.layout.lazy else step


@functools.lru_cache(maxsize=32)
def make_gradient(model: ModelSpec) -> Callable[..., tuple[Losses, Float[Array, " parameters"]]]:
    """A compiled function (params, batch) -> (losses, gradient)."""
    network = Network(model)
    return jax.jit(lambda params, batch: loss_and_gradient(network, batch["task_weights"], params, batch))


@functools.lru_cache(maxsize=32)
def make_forward(model: ModelSpec, output: Output) -> Callable[[Batch, Batch], Batch]:
    """A compiled function (the network's tensors by name, the inputs of some rows) -> an output of the network."""
    network = Network(model)
    passes = {"logits": Network.__call__, "gates": Network.gates, "trunk_outputs": Network.trunk_outputs}
    return jax.jit(lambda tensors, inputs: passes[output](network.bind(tensors), **inputs))


def loop_steps(
    step: Step, state: TrainState, batches: Batch, constants: Batch
) -> tuple[TrainState, Float[Array, "steps losses"]]:
    """Call the step for each batch. The batches are NumPy's: to unstack them in JAX compiles an output a step."""
    losses = []
    for i in range(len(batches["learning_rate"])):
        state, loss = step(state, {**{name: array[i] for name, array in batches.items()}, **constants})
        losses.append(loss)
    return state, jnp.stack(losses)


def scan_steps(
    step: Step, state: TrainState, batches: Batch, constants: Batch
) -> tuple[TrainState, Float[Array, "steps losses"]]:
    """The same loop as one operation."""
    return jax.lax.scan(lambda state, batch: step(state, {**batch, **constants}), state, batches)
