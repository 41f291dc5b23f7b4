"""Devices that share each batch, of one process or of several that jax.distributed joins."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float, Int

from backends.layout import Layout
from backends.parts import Joined, rows_axis
from spec.training import Part

DEVICES = "devices"
"""The name of the axis along which rows are divided."""
COUNTS = ("JAX_NUM_PROCESSES", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
"""Variables of the environment that say how many processes were started together: ours, Slurm's and Open MPI's."""


def initialize(timeout: float) -> bool:
    """Whether this process is one of several; they are joined then, all of them, within so many seconds.

    Who has called jax.distributed.initialize() need not have set a variable. Raises RuntimeError if one does not come.
    """
    if jax.distributed.is_initialized():
        return True
    if max(int(os.environ.get(name, 1)) for name in COUNTS) < 2:
        return False
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    size, rank = (os.environ.get(name) for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"))
    jax.distributed.initialize(
        num_processes=int(size) if size else None,  # else JAX asks the cluster
        process_id=int(rank) if rank else None,
        initialization_timeout=round(timeout),
        heartbeat_timeout_seconds=round(timeout) + 60,  # who has died is found sooner, and said in one line
        shutdown_timeout_seconds=round(timeout),
    )
    return True


def joined() -> Joined:
    """This process among those that are joined."""
    host, _, _ = os.environ.get("JAX_COORDINATOR_ADDRESS", "").rpartition(":")
    return Joined(jax.process_index(), jax.process_count(), host)


def tell(data: np.ndarray) -> np.ndarray:
    """The bytes `data` of process 0, in each process; all have as many."""
    told: np.ndarray = multihost_utils.broadcast_one_to_all(data)
    return told


def native_device(device: str) -> jax.Device:
    """cpu or gpu as JAX's device: this process's first."""
    return jax.local_devices(backend=device)[0]


def part_of_process(device: jax.Device) -> Part:
    """The parts of a batch that this process's devices have: all that it sees of the kind of `device`."""
    devices = jax.devices(device.platform)
    own = [place for place, each in enumerate(devices) if each.process_index == device.process_index]
    return Part(own[0], len(own), len(devices))


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
            name: jax.make_array_from_process_local_data(NamedSharding(mesh, partition(name)), array)
            if isinstance(array, np.ndarray)
            else array
            for name, array in batches.items()
        }
        return compiled(state, parts, *others)

    return placed


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays, whole, on each device of the mesh; where they are if there is none."""
    if mesh is None:
        return tree
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda array: jax.make_array_from_process_local_data(whole, np.asarray(array)), tree)
