"""The engines that start processes together, and the variables of the environment by which they say who is who.

They are here and not in the frameworks' folders, because they are read and set where no framework is imported.
"""

import os
import socket
from typing import NamedTuple


class Engine(NamedTuple):
    """The variables that say a process's place."""

    counts: tuple[str, ...]
    """How many were started together: the first that is there."""
    rank: str
    """Its number."""


TORCHRUN = Engine(("WORLD_SIZE",), "RANK")
JAX_DISTRIBUTED = Engine(("JAX_NUM_PROCESSES", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"), "JAX_PROCESS_ID")
"""jax.distributed itself reads the place of a process from Slurm and Open MPI. Ours come first: 1 says that tasks which
these have started train alone."""
ENGINES = (TORCHRUN, JAX_DISTRIBUTED)


def started(engine: Engine) -> int:
    """How many processes were started together: what the first variable says that is there; 1 if none is.

    Raises ValueError if it is no number.
    """
    return next((count for name in engine.counts if (count := number(name)) is not None), 1)


def is_first() -> bool:
    """Whether this process is number 0, or was started alone, as the environment says."""
    try:
        return all(started(engine) == 1 or not number(engine.rank) for engine in ENGINES)
    except ValueError:  # who joins the processes refuses such a variable, and this one must be able to say so
        return True


def number(name: str) -> int | None:
    """What a variable says; None if it is not there. Raises ValueError if that is no number."""
    text = os.environ.get(name)
    if text is not None and not text.isdecimal():
        raise ValueError(f"{name}: expected a number, as a variable of the environment, got {text!r}")
    return None if text is None else int(text)


def free_address() -> str:
    """A place on this machine's loopback, HOST:PORT, where nobody listens now."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        host, port = place.getsockname()
    return f"{host}:{port}"


def place_of(rank: int, count: int, address: str) -> dict[str, str]:
    """The variables of all engines for process `rank` of `count` on one machine; process 0 listens at the address."""
    host, port = address.split(":")
    torchrun = {"MASTER_ADDR": host, "MASTER_PORT": port, "WORLD_SIZE": count, "RANK": rank, "LOCAL_RANK": rank}
    jax = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": count, "JAX_PROCESS_ID": rank}
    return {name: str(value) for name, value in {**torchrun, **jax}.items()}


def threads_of(count: int) -> dict[str, str]:
    """The variables by which PyTorch and JAX compute with so many threads."""
    return {"OMP_NUM_THREADS": str(count), "PJRT_NPROC": str(count)}
