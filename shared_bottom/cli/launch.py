"""The command launch: starts the processes of this machine that train one network together."""

import os
import subprocess
import sys
import time
from types import FrameType

from backends.engines import free_address, place_of, threads_of
from shared_bottom.cli.options import Launch
from shared_bottom.cli.parsing import flags_of_fit
from shared_bottom.cli.printing import say
from shared_bottom.run.interrupts import install, restore
from spec.machine import cores

PAUSE = 0.05
"""Seconds between two looks at the processes."""
MORE = 30.0
"""Seconds that a process has, beyond the timeout, to end after another one has failed."""


def launch(options: Launch) -> None:
    """Run a command in several processes, and end with their exit code by SystemExit.

    Each has a session of its own, so that a Ctrl-C at the terminal comes to this process alone, which hands it on to
    each of them once, and SIGTERM likewise. If their codes differ, the one that failed first decides; a signal's number
    counts from 128. When one has failed, the others notice and end; one that cannot, because it is stopped, say, is
    killed after the timeout of `fit`. If this process is killed, the others go on to the end of the run: SIGTERM to any
    of them saves and ends it.

    Raises ValueError for what is no command or no number of processes.
    """
    if options.processes < 1:
        raise ValueError(f"-n: expected a number of processes of 1 or more, got {options.processes}")
    if not options.command:
        raise ValueError("launch: expected a command to run, such as fit, got none")
    patience = MORE
    if options.command[0] == "fit":
        patience += flags_of_fit(options.command[1:])[0].timeout
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    address, children = free_address(), list[subprocess.Popen[bytes]]()
    command = [sys.executable, "-m", "shared_bottom", *options.command]
    before = install(note)
    try:
        for number in range(options.processes):
            environment = environment_of(number, options.processes, address)
            children.append(subprocess.Popen(command, env=environment, start_new_session=True))
        code = wait(children, received, patience)
    finally:
        restore(before)
        for child in children:  # those that an error left
            child.kill()
    raise SystemExit(code)


def environment_of(number: int, count: int, address: str) -> dict[str, str]:
    """The environment of one process of `count`: how PyTorch and JAX find the others, and how many threads compute.

    address: where process 0 listens, HOST:PORT. Of each number of threads the user's comes before ours, by which the
    processes divide the cores of the machine; and so does the user's choice of JAX's GPUs.
    """
    ours = {**threads_of(max(1, len(cores()) // count)), "JAX_LOCAL_DEVICE_IDS": str(number)}
    return ours | os.environ | place_of(number, count, address)


def wait(children: list[subprocess.Popen[bytes]], received: list[int], patience: float) -> int:
    """The exit code of the processes, once all have ended. Meanwhile each signal that is `received` is handed on once.

    patience: seconds that the others have to end when one has failed.
    """
    code, deadline = 0, float("inf")
    while running := [child for child in children if child.poll() is None]:
        while received:
            number = received.pop(0)
            for child in running:
                child.send_signal(number)
        if code == 0 and (code := failure(children)):
            deadline = time.monotonic() + patience
        if time.monotonic() > deadline:
            numbers = ", ".join(str(children.index(child)) for child in running)
            say("error", f"process {numbers}: killed, {patience:g} s after another one had failed")
            for child in running:
                child.kill()
            deadline = float("inf")
        time.sleep(PAUSE)
    return code or failure(children)


def failure(children: list[subprocess.Popen[bytes]]) -> int:
    """The exit code of a process that has failed; 0 if none has."""
    code = next((child.returncode for child in children if child.returncode), 0)
    return 128 - code if code < 0 else code
