"""Processes that share each batch, each with one device, that torch.distributed joins."""

import atexit
import os
import time
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from backends.engines import TORCHRUN, number, started
from backends.meeting import reach
from backends.parts import Joined
from backends.settings import patient_threads
from spec.training import WHOLE, Part

LONGEST = timedelta(hours=1)
"""How long a sum may take. Whether the other processes live is found elsewhere; one may well compile for minutes."""

group = ""
"""The name of the group of all processes, once they are joined."""
_world: dist.ProcessGroup | None = None
"""PyTorch's group of all processes, from which both others are made."""
_talk: dist.ProcessGroup | None = None
"""All processes once more, with an engine for the CPU, which the user's group may lack."""


@patient_threads()
def initialize(timeout: float) -> bool:
    """Whether this process is one of several; they are joined then, all of them, within so many seconds.

    Who has called torch.distributed.init_process_group() need not have set a variable. Raises RuntimeError if one does
    not come.
    """
    global group, _talk, _world
    if not dist.is_available():
        return False
    if not dist.is_initialized():
        group, _world = "", None  # the user's program may have ended its own
        if started(TORCHRUN) < 2:
            return False
        if number(TORCHRUN.rank) and {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
            reach("{MASTER_ADDR}:{MASTER_PORT}".format_map(os.environ), time.monotonic() + timeout).close()
        engines = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(engines, timeout=timedelta(seconds=timeout))
        atexit.register(_leave)
    if _world is not dist.group.WORLD:  # which may have begun another one, too
        group, _world = "", dist.group.WORLD
        if dist.get_world_size() > 1:
            group = dist.new_group(timeout=LONGEST).group_name
            _talk = dist.new_group(backend="gloo")
    return bool(group)


def joined() -> Joined:
    """This process among those that are joined."""
    return Joined(dist.get_rank(), dist.get_world_size(), os.environ.get("MASTER_ADDR", ""))


def tell(data: np.ndarray) -> np.ndarray:
    """The bytes `data` of process 0, in each process; all have as many."""
    told = torch.tensor(data)
    dist.broadcast(told, 0, group=_talk)
    return told.numpy()


def native_device(device: str) -> torch.device:
    """cpu or gpu as PyTorch's device: torchrun numbers the processes of a machine."""
    if device == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if group else torch.device("cuda")


def part_of_process(device: torch.device) -> Part:
    """The part of a batch that this process has."""
    return Part(dist.get_rank(), 1, dist.get_world_size()) if group else WHOLE


def first_row(rows: int, part: Part) -> int:
    """The place in the whole batch of the first of the device's `rows` rows."""
    return part.first * rows


def summed(
    losses: Float[Tensor, "*tasks losses"], gradient: Float[Tensor, "*tasks parameters"], part: Part
) -> tuple[Float[Tensor, "*tasks losses"], Float[Tensor, "*tasks parameters"]]:
    """Their sums over all devices, in one operation."""
    if part.of == 1:
        return losses, gradient
    from torch.distributed import _functional_collectives as collectives  # what PyTorch can compile

    together = torch.cat([losses, gradient], dim=-1)
    together = collectives.wait_tensor(collectives.all_reduce(together, "sum", group))  # type: ignore[arg-type]
    return together[..., : losses.shape[-1]], together[..., losses.shape[-1] :]


def summing(numbers: int, times: int, device: torch.device) -> Callable[[], None]:
    """So many sums in a row over all devices of a vector (numbers,) in float32; returns when they are done."""
    part = part_of_process(device)
    vector = torch.ones(numbers, device=device)

    def run() -> None:
        total = vector
        for _ in range(times):
            _, total = summed(total[:0], total, part)
            total = total / part.of
        total[:1].cpu()

    return run


def _leave() -> None:
    """PyTorch warns where the processes' group is there at the interpreter's end."""
    if dist.is_initialized():
        dist.destroy_process_group()
