"""The machine: what it is, and how much memory a piece of work took."""

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

from bench.results import Machine

PACKAGES = ("torch", "jax", "jaxlib", "flax", "optax", "keras", "numpy")
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def describe() -> Machine:
    """This machine and the packages that count."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if sys.platform != "win32" else None,
        versions=versions,
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


class PeakMemory:
    """By how many bytes the process's resident memory rose at most since this was made; Linux only."""

    def __init__(self) -> None:
        self._before: int | None = None
        if CLEAR.exists() and os.access(CLEAR, os.W_OK):
            CLEAR.write_text("5")  # sets the peak to what is resident now: proc(5)
            self._before = _resident_peak()

    def bytes(self) -> int | None:
        """None where the system does not tell."""
        return None if self._before is None else _resident_peak() - self._before


def _resident_peak() -> int:
    (line,) = (line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
