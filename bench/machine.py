"""The machine: what it is, and how much memory a piece of work took."""

import contextlib
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
    """The most memory that the process had resident since this was made; Linux only."""

    def __init__(self) -> None:
        self._known = False
        with contextlib.suppress(OSError):  # no /proc, or not ours to write: then nobody knows
            CLEAR.write_text("5")  # sets the peak to what is resident now: proc(5)
            self._known = True

    def bytes(self) -> int | None:
        """None where the system does not tell."""
        lines = STATUS.read_text(encoding="utf-8").splitlines() if self._known else []
        peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
        return peaks[0] if peaks else None
