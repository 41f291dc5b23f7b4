"""The training step, (state, batch) -> (state, losses), and its three executions.

It is computed without a side effect. What it gives is written over the state before it where a copy would cost too
much: the parameters of eager, to which the network is bound, and lazily updated tables except in a scan.

eager   the step as Python runs it, operation by operation
step    torch.compile of one step, called for each
epoch   torch.compile of a scan over all steps of a call: no Python between them
"""

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends.layout import layout_of
from backends.torch import optimizers
from backends.torch.balancing import BALANCINGS
from backends.torch.gradients import Batch, loss_and_gradient
from backends.torch.lazy import lazy_step, scan_few_steps
from backends.torch.model import Network
from backends.torch.settings import open_compile_cache
from backends.torch.state import Losses, Run, Step, TrainState
from spec.model import ModelSpec
from spec.training import StepSpec

COMPILER = threading.Lock()
"""Held by the thread that calls a compiled function. PyTorch has one compiler a process: a call in one thread while
another one compiles is taken for a call of the other's function, and both are compiled again until PyTorch refuses.
"""


def train_step(network: Network, step_spec: StepSpec, state: TrainState, batch: Batch) -> tuple[TrainState, Losses]:
    """One optimizer step on one batch."""
    balanced, weights = BALANCINGS[step_spec.balancing.kind], batch["task_weights"]
    losses, gradient, balance = balanced(step_spec.balancing, network, weights, state.params, state.balance, batch)
    params, slots = optimizers.update(step_spec.optimizer, gradient, state.slots, state.params, batch)
    return TrainState(params, slots, balance, state.tables), losses


def make_run(model: ModelSpec, step_spec: StepSpec, dtype: np.dtype, device: torch.device, execution: str) -> Run:
    """A function (state, batches of steps, constants) -> (state, losses (steps, losses)).

    Eager's is for one run alone: it binds its network to the state's parameters.
    """
    if execution == "eager":
        return functools.partial(loop_steps, make_step(model, step_spec, device, execution))
    with COMPILER:  # of two threads that come with equal arguments, one makes the function
        open_compile_cache()
        return compiled_run(model, step_spec, dtype, device, execution, torch.get_num_threads())


@functools.lru_cache(maxsize=32)
def compiled_run(
    model: ModelSpec, step_spec: StepSpec, dtype: np.dtype, device: torch.device, execution: str, threads: int
) -> Run:
    """The function of `make_run` where it is compiled: once for equal arguments.

    dtype, threads: what PyTorch compiles for, the latter being the number that the calling thread has. Called with
    others, the function would be compiled again, and PyTorch counts how often.
    """
    step = make_step(model, step_spec, device, execution)
    if execution == "step":
        run: Run = functools.partial(loop_steps, compiled(step, device))
    else:
        run = compiled(functools.partial(scan_steps, step), device)
        layout = layout_of(model, step_spec.lazy_batch, step_spec.frozen)
        run = functools.partial(scan_few_steps, layout, run) if layout.lazy else run
    # Hyperparameters are constants. When a second network comes with other ones, PyTorch would otherwise compile them
    # as inputs, which rounds them: its float64 curve would be off by 1e-8.
    run = torch._dynamo.config.patch(specialize_float=True)(run)

    def run_alone(state: TrainState, batches: Batch, constants: Batch) -> tuple[TrainState, Losses]:
        with COMPILER:
            open_compile_cache()
            try:
                return run(state, batches, constants)
            except torch._dynamo.exc.BackendCompilerFailed as error:
                reason = repr(error.inner_exception).partition("\\n")[0]
                raise ValueError(f"execution: expected 'eager', or a compiler that works, got {reason:.200}") from error

    return run_alone


def make_step(model: ModelSpec, step_spec: StepSpec, device: torch.device, execution: str) -> Step:
    """The step of one network."""
    network = Network(model, device, step_spec.lazy_batch, step_spec.frozen, step_spec.part)
    step = functools.partial(train_step, network, step_spec)
    step = functools.partial(in_place, step) if execution == "eager" else step
    if not network.layout.lazy:
        return step
    return functools.partial(lazy_step, network.layout, step, in_place=execution != "epoch")


def make_gradient(model: ModelSpec, device: torch.device) -> Callable[..., tuple[Losses, Float[Tensor, " parameters"]]]:
    """A function (params, batch) -> (losses, gradient), for one call of it: it binds its network to the parameters."""
    network = Network(model, device)
    return lambda params, batch: loss_and_gradient(network, batch["task_weights"], params, batch)


def loop_steps(
    step: Step, state: TrainState, batches: Batch, constants: Batch
) -> tuple[TrainState, Float[Tensor, "steps losses"]]:
    """Call the step for each batch."""
    unstacked = {name: array.unbind() for name, array in batches.items()}
    losses = []
    for batch in zip(*unstacked.values(), strict=True):
        state, loss = step(state, {**dict(zip(unstacked, batch, strict=True)), **constants})
        losses.append(loss)
    return state, torch.stack(losses)


def in_place(step: Step, state: TrainState, batch: Batch) -> tuple[TrainState, Losses]:
    """The step, with the new parameters written over the old: the network that is bound to them need not be anew."""
    new, losses = step(state, batch)
    return new._replace(params=state.params.copy_(new.params)), losses


def scan_steps(
    step: Step, state: TrainState, batches: Batch, constants: Batch
) -> tuple[TrainState, Float[Tensor, "steps losses"]]:
    """The same loop as one operation. PyTorch's scan is a prototype in a private namespace: the version is pinned."""
    try:
        from torch._higher_order_ops.scan import scan
    except ImportError as error:
        raise ImportError('execution "epoch" needs the scan operator of PyTorch 2.13; use execution "step"') from error

    def body(carry: tuple[Any, ...], batch: Batch) -> tuple[tuple[Any, ...], Losses]:  # it takes plain tuples
        state, losses = step(TrainState(*carry), {**batch, **constants})
        return tuple(state), losses

    carry, losses = scan(body, tuple(state), batches)
    return TrainState(*carry), losses


def compiled(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """torch.compile of the whole function. Each network counts its own recompilations; together they would soon reach
    PyTorch's limit of 8.

    A call checks only its tensors and PyTorch's global state: network and optimizer belong to this function and never
    change, and to look at each of their fields took a third of a compiled step. On the CPU a C++ wrapper around the
    kernels saves a fifth. It is compiled apart from them and little optimized, and no trial programs are compiled to
    see which of the processor's vector instructions the C++ compiler knows: both halve the time of compiling.
    """
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.keep_portable_guards_unsafe}
    if device.type == "cpu":
        options |= {"cpp_wrapper": True, "cpp_wrapper_build_separate": True, "cpp.vec_isa_ok": True}
    # PyTorch's own overloads leave isolate_recompiles out.
    return torch.compile(  # type: ignore[call-overload]
        function, fullgraph=True, options=options, isolate_recompiles=True
    )
