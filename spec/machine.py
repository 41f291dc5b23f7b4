"""The machine that a run took place on."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic.dataclasses import dataclass

from spec.validation import STRICT

PACKAGES = ("torch", "jax", "jaxlib", "flax", "optax", "keras", "numpy")
"""Whose versions are named wherever they are installed."""


@dataclass(kw_only=True, config=STRICT)
class Machine:
    """Where a run took place."""

    system: str
    processor: str
    cores: int
    memory_bytes: int | None
    versions: dict[str, str]
    """By package, and python."""


def describe(libraries: Iterable[str] = ()) -> Machine:
    """This machine, and the versions of the packages that count and of `libraries`."""
    versions = {"python": platform.python_version()}
    for name in dict.fromkeys((*PACKAGES, *libraries)):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_bytes=memory_bytes(),
        versions=versions,
    )


def cores() -> list[int]:
    """The processor cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def check_threads(threads: int | None, name: str = "threads") -> None:
    """Raises ValueError, which begins with `name`, if this is neither None nor 1 to as many as there are cores."""
    most = len(cores())
    if threads is not None and (type(threads) is not int or not 1 <= threads <= most):
        raise ValueError(f"{name}: expected 1 to {most}, the cores that this process may use, got {threads!r}")


def memory_bytes() -> int | None:
    """The size of the memory; None where the system does not tell."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if sys.platform != "win32" else None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
