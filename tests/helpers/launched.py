"""Starts the command line in several processes of this machine, and waits for them no longer than they may take."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from backends.engines import free_address
from shared_bottom.cli.launch import environment_of

ROOT = Path(__file__).parents[2]
PATIENCE = 100
"""Seconds after which a test's processes are killed, so that a mistake fails and does not hang."""
EXECUTIONS = {"jax": "epoch", "torch": "eager"}
"""Of each backend the one that begins soonest in several processes."""


class Ended(NamedTuple):
    """What a process has left."""

    code: int
    out: str
    err: str


def flags(backend, *arguments):
    return ["--backend", backend, "--train.execution", EXECUTIONS[backend], *map(str, arguments)]


def torchrun(*arguments, module="shared_bottom"):
    """torchrun of two processes, on a port that is free."""
    return ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", module, *arguments]


@contextmanager
def started(*commands, environments=()):
    """Processes, one of each command, that are killed at the block's end if they are there still."""
    processes = []
    environments = environments or [{}] * len(commands)
    try:
        for command, environment in zip(commands, environments, strict=True):
            own = os.environ | {"OMP_NUM_THREADS": "1", "PJRT_NPROC": "1", "PYTHONPATH": str(ROOT)} | environment
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            processes.append(subprocess.Popen([sys.executable, "-m", *map(str, command)], env=own, **pipes))
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def together(*argument_lists, module="shared_bottom"):
    """As `started`: the command line with these arguments, process by process, as parts of one run.

    module: what runs it.
    """
    address = free_address()
    environments = [environment_of(number, len(argument_lists), address) for number in range(len(argument_lists))]
    commands = [[module, *arguments] for arguments in argument_lists]
    return started(*commands, environments=environments)


def ended(process, seconds=PATIENCE):
    """What a process has left once it has ended. Raises subprocess.TimeoutExpired if that takes longer."""
    out, err = process.communicate(timeout=seconds)
    return Ended(process.returncode, out, err)


def children(process):
    """The ids of the processes that a launcher has started, by their numbers."""
    ids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    variables = {int(child): Path(f"/proc/{child}/environ").read_bytes().split(b"\0") for child in ids}
    return sorted(variables, key=lambda child: b"RANK=0" not in variables[child])


def wait_for_checkpoint(folder, processes, most=PATIENCE):
    """Until a run has saved a checkpoint; fails if a process ends before."""
    deadline = time.monotonic() + most
    while not any((Path(folder) / "checkpoints").glob("step-*")):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), [process.communicate() for process in processes]
        time.sleep(0.05)
