"""What holds while JAX computes for us, and no longer: device and precision, matrix products in full float32, and our
cache of compiled code.
"""

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import jax
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from backends.caches import open_cache
from backends.settings import Undo, WhileComputing, memory_errors
from spec.files import cache_folder
from spec.machine import cores

CACHE = str(cache_folder() / "jax")
"""Where compiled code outlives the process, if the user has not said where."""


@contextmanager
def scope(dtype: np.dtype, device: jax.Device, compiles: bool = True) -> Iterator[None]:
    """Where arrays are made and in which precision; matrix products in full float32, no GPU's default; NumPy's rules of
    types, shapes and transfers, though the caller may be stricter; and what is compiled inside is kept in `CACHE`.

    compiles: whether anything may be compiled inside. If not, the cache need not be opened, which takes time.
    """
    with (
        jax.default_device(device),
        jax.enable_x64(dtype == np.float64),
        jax.default_matmul_precision("float32"),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.transfer_guard("allow"),
        COMPILE_CACHE if compiles else nullcontext(),
        memory_errors(),
    ):
        yield


@functools.cache
def thread_count() -> int:
    """How many threads JAX computes with on the CPU. It makes them when it starts, if not before then now."""
    named = [os.environ.get(name, "") for name in (THREADS, "NPROC")]
    number = next((int(text) for text in named if text.isdecimal()), len(cores()))
    jax.devices()
    return number


def start(threads: int) -> None:
    """Start JAX with so many threads, unless it has started."""
    with STARTING:
        if has_started():
            return
        users = os.environ.get(THREADS)
        os.environ[THREADS] = str(threads)
        try:
            thread_count()
        finally:
            del os.environ[THREADS]
            if users is not None:
                os.environ[THREADS] = users


def has_started() -> bool:
    """Whether JAX has made its threads. It then refuses another value of a setting that it reads when it starts."""
    setting = "jax_num_cpu_devices"
    users: int = getattr(jax.config, setting)
    try:
        jax.config.update(setting, users + 1)
    except RuntimeError:
        return True
    jax.config.update(setting, users)
    return False


def use_compile_cache() -> Undo:
    """JAX looks for the folder when it first compiles, and keeps to it until it is told to look again."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    users_folder, users_seconds = (getattr(jax.config, name) for name in names)
    if users_folder is not None:
        return lambda: None

    def change(folder: str | None, seconds: float) -> None:
        for name, value in zip(names, (folder, seconds), strict=True):
            jax.config.update(name, value)
        reset_cache()

    change(str(open_cache(Path(CACHE))), 0.1)
    return lambda: change(None, users_seconds)


THREADS = "PJRT_NPROC"
"""The environment variable that JAX reads, before NPROC, for the number of its threads when it starts."""
STARTING = threading.Lock()
COMPILE_CACHE = WhileComputing(use_compile_cache)
