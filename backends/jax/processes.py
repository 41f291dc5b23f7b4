"""Devices that share each batch, of one process or of several that jax.distributed joins."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float, Int

from backends.engines import JAX_DISTRIBUTED, number, started
from backends.layout import Layout
from backends.meeting import meet
from backends.parts import Joined, rows_axis
from spec.training import Part

_joined = False
"""Whether the processes were joined here, and not by the user's program."""
DEVICES = "devices"
"""The name of the axis along which rows are divided."""


def initialize(timeout: float) -> bool:
    """Whether this process is one of several; they are joined then, all of them, within so many seconds.

    Who has called jax.distributed.initialize() need not have set a variable. Raises RuntimeError if one does not come.
    """
    global _joined
    if _joined or jax.distributed.is_initialized():
        return True
    if started(JAX_DISTRIBUTED) < 2:
        return False
    count, rank = number(JAX_DISTRIBUTED.counts[0]), number(JAX_DISTRIBUTED.rank)
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if count and rank is not None and address:
        bound = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", address)
        meet(rank, count, address, int(bound.rpartition(":")[2]), timeout)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    jax.distributed.initialize(
        num_processes=count,  # where it is not there, JAX asks the cluster
        process_id=rank,
        initialization_timeout=math.ceil(timeout),
        heartbeat_timeout_seconds=math.ceil(timeout) + 60,  # who has died is found sooner, and said in one line
        shutdown_timeout_seconds=math.ceil(timeout),
    )
    _joined = True
    return True


def joined() -> Joined:
    """This process among those that are joined."""
    host, _, _ = os.environ.get("JAX_COORDINATOR_ADDRESS", "").rpartition(":")
    return Joined(jax.process_index(), jax.process_count(), host)


def tell(data: np.ndarray) -> np.ndarray:
    """The bytes `data` of process 0, in each process; all have as many."""
    with _standard_output_dropped():  # Gloo writes a line there when the processes first compute together
        told: np.ndarray = multihost_utils.broadcast_one_to_all(data)
    one_group = jax.default_backend() == "cpu" and jax.local_device_count() == 1
    if _joined and jax.distributed.is_initialized() and one_group:
        # Once Gloo has connected the processes, they need JAX's service no more, which process 0 has. When that dies,
        # JAX aborts all others with a page of messages, and no handler of ours can say in a line what has happened.
        jax.distributed.shutdown()
    return told


def native_device(device: str) -> jax.Device:
    """cpu or gpu as JAX's device: this process's first."""
    return jax.local_devices(backend=device)[0]


def part_of_process(device: jax.Device) -> Part:
    """The parts of a batch that this process's devices have: all that it sees of the kind of `device`."""
    devices = jax.devices(device.platform)
    places = [number for number, each in enumerate(devices) if each.process_index == device.process_index]
    return Part(places[0], len(places), len(devices))


def first_row(rows: int, part: Part) -> Int[Array, ""] | int:
    """The place in the whole batch of the first of the device's `rows` rows."""
    return jax.lax.axis_index(DEVICES).astype(jnp.uint32) * rows if part.of > 1 else 0


def summed(
    losses: Float[Array, "*tasks losses"], gradient: Float[Array, "*tasks parameters"], part: Part
) -> tuple[Float[Array, "*tasks losses"], Float[Array, "*tasks parameters"]]:
    """Their sums over all devices, in one operation."""
    if part.of == 1:
        return losses, gradient
    together = jax.lax.psum(jnp.concatenate([losses, gradient], axis=-1), DEVICES)
    return together[..., : losses.shape[-1]], together[..., losses.shape[-1] :]


def summing(numbers: int, times: int, device: jax.Device) -> Callable[[], None]:
    """So many sums in a row over all devices of a vector (numbers,) in float32; returns when they are done."""
    part = part_of_process(device)
    mesh = mesh_of(device, part)
    if mesh is None:
        return lambda: None

    def again(vector: Array, nothing: None) -> tuple[Array, None]:
        _, total = summed(vector[:0], vector, part)
        return total / part.of, nothing

    def run(vector: Array) -> Array:
        last, _ = jax.lax.scan(again, vector, length=times)
        return last

    whole = PartitionSpec()
    compiled = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=whole, out_specs=whole, check_vma=False))
    ones = everywhere(np.ones(numbers, np.float32), mesh)

    def wait() -> None:
        compiled(ones).block_until_ready()

    return wait


def mesh_of(device: jax.Device, part: Part) -> Mesh | None:
    """All processes' devices of the kind of `device`; None if one has each batch alone."""
    return Mesh(np.array(jax.devices(device.platform)), (DEVICES,)) if part.of > 1 else None


def over_devices(run: Callable[..., Any], layout: Layout, mesh: Mesh, leading: int) -> Callable[..., Any]:
    """A compiled function (state, batches, others) that runs `run` on each device, with its rows of the batches.

    leading: how many axes the arrays of the batches have in front of a step's.
    """

    def partition(name: str) -> PartitionSpec:
        axis = rows_axis(layout, name)
        return PartitionSpec() if axis is None else PartitionSpec(*(None,) * (leading + axis), DEVICES)

    def divided(state: Any, batches: Mapping[str, Array], *others: Any) -> Any:
        whole = PartitionSpec()
        specs = whole, {name: partition(name) for name in batches}, *(whole for _ in others)
        return jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=whole, check_vma=False)(state, batches, *others)

    compiled = jax.jit(divided, donate_argnums=0)

    def placed(state: Any, batches: Mapping[str, Any], *others: Any) -> Any:
        parts = {
            name: place(array, NamedSharding(mesh, partition(name))) if isinstance(array, np.ndarray) else array
            for name, array in batches.items()
        }
        return compiled(state, parts, *others)

    return placed


def place(array: np.ndarray, sharding: NamedSharding) -> Array:
    """A process's rows of an array on its devices, as part of the whole: a quarter of the time that JAX's
    make_array_from_process_local_data takes, which matters where a step is short."""
    if DEVICES not in sharding.spec:
        return jax.make_array_from_callback(array.shape, sharding, lambda _: array)
    axis, part = sharding.spec.index(DEVICES), part_of_process(sharding.mesh.local_devices[0])
    each = array.shape[axis] // part.devices
    shape = (*array.shape[:axis], each * part.of, *array.shape[axis + 1 :])

    def rows(index: Any) -> np.ndarray:
        start = index[axis].start - part.first * each
        return array[(*index[:axis], slice(start, start + each))]

    return jax.make_array_from_callback(shape, sharding, rows)


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays, whole, on each device of the mesh; where they are if there is none."""
    if mesh is None:
        return tree
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda array: place(np.asarray(array), whole), tree)


@contextmanager
def _standard_output_dropped() -> Iterator[None]:
    """Within the block, what is written to the process's standard output, by libraries in C too, is lost."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
