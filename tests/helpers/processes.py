"""Several processes that are started together, as torchrun and the clusters that JAX knows start them, on one machine.

`together` starts them, each as `python -m tests.helpers.processes FOLDER`. A start takes seconds, since each imports
the framework, so that tests share one.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backends.engines import free_address, place_of, threads_of

ROOT = Path(__file__).parents[2]
WORK = "work"
"""The file of a function and its arguments."""


def environment(rank: int, size: int, address: str, devices: int) -> dict[str, str]:
    """That of one of several processes, which computes with one thread.

    devices: how many a process of JAX sees; more than one only if it is alone.
    """
    values = place_of(rank, size, address) | threads_of(1) | {"PYTHONPATH": str(ROOT)}
    if devices > 1:
        values["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    return os.environ | values


def together(
    size: int, function: Callable[..., Any], *arguments: Any, devices: int = 1, seconds: float = 300.0
) -> list[Any]:
    """What `function(*arguments)` returns in each of `size` processes that are started together, by rank.

    function: one of a module of `tests.helpers`. Raises AssertionError, with what they wrote, once one ends with an
    error or has not ended within so many seconds. None is left behind.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, address, deadline = Path(name), free_address(), time.monotonic() + seconds
        (folder / WORK).write_bytes(pickle.dumps((function, arguments)))
        started: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(size):
                with (folder / f"output {rank}").open("wb") as output:
                    started.append(
                        subprocess.Popen(
                            [sys.executable, "-m", __name__, name],
                            env=environment(rank, size, address, devices),
                            cwd=ROOT,
                            stdout=output,
                            stderr=subprocess.STDOUT,
                            start_new_session=True,  # so that it ends with what it has started
                        )
                    )
            codes: list[int | None] = [None]
            while None in codes and not any(codes) and time.monotonic() < deadline:
                time.sleep(0.02)
                codes = [process.poll() for process in started]
        finally:
            for process in started:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        outputs = [(folder / f"output {rank}").read_text(errors="replace") for rank in range(size)]
        codes = [process.returncode for process in started]
        assert not any(codes), f"exit codes {codes} of the processes:\n" + "\n".join(outputs)
        return [pickle.loads((folder / f"result {rank}").read_bytes()) for rank in range(size)]


def main(folder: Path) -> None:
    function, arguments = pickle.loads((folder / WORK).read_bytes())
    result = pickle.dumps(function(*arguments))
    (folder / f"result {os.environ['RANK']}").write_bytes(result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
