"""What holds while PyTorch computes for us, and no longer: matrix products in full float32, gradients, and our cache of
compiled code.
"""

import functools
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from backends.caches import open_cache
from backends.settings import Undo, WhileComputing, memory_errors
from spec.files import cache_folder

CACHE = str(cache_folder() / "torch")
"""Where compiled code outlives the process, if the user has not said where."""
CHOOSER = "torch._inductor.runtime.cache_dir_utils"


@contextmanager
def scope() -> Iterator[None]:
    """Matrix products in full float32, no GPU's default and no autocast; gradients, whatever the caller wants; memory
    that runs out is a MemoryError; and what is compiled inside is kept in `CACHE`.
    """
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        no_autocast("cpu"),
        no_autocast("cuda"),
        PRECISION,
        COMPILE_CACHE,
        memory_errors(),
    ):
        yield


@contextmanager
def inference_scope() -> Iterator[None]:
    """What `scope` says where nothing is compiled and no gradient is taken, in less time."""
    with torch.inference_mode(), no_autocast("cpu"), no_autocast("cuda"), PRECISION, memory_errors():
        yield


def no_autocast(device: str) -> AbstractContextManager[Any]:
    """A block without autocast. Where there is none, as nearly always, nothing takes time to switch it off."""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


@contextmanager
def thread_count(number: int) -> Iterator[None]:
    """Within the block, operations that the calling thread asks for are computed by so many threads."""
    users = torch.get_num_threads()
    set_thread_count(number)
    try:
        yield
    finally:
        set_thread_count(users)


def set_thread_count(number: int) -> None:
    """Sets it for the calling thread alone. PyTorch's own function also sets what new threads begin with, which a new
    thread can read and set back.
    """
    if number == torch.get_num_threads():
        return
    with THREAD_COUNTS, ThreadPoolExecutor(1) as new_thread:
        of_new_threads = new_thread.submit(torch.get_num_threads).result()
        torch.set_num_threads(number)
        new_thread.submit(torch.set_num_threads, of_new_threads).result()


def use_full_precision() -> Undo:
    """PyTorch has one setting for all devices, and newer ones for each library. It raises where they contradict each
    other, so that all of them are set. The library's setting is "none" where it follows its parent's.
    """
    backends: Any = torch.backends  # PyTorch's types leave mkldnn.matmul out
    libraries = ((backends.cuda.matmul, backends.cudnn), (backends.mkldnn.matmul, backends.mkldnn))
    users = [(library, library.fp32_precision, parent.fp32_precision) for library, parent in libraries]
    for library, _, _ in users:
        library.fp32_precision = "ieee"
    of_all_devices = torch.get_float32_matmul_precision()  # only now, when the libraries' contradict no value of it
    torch.set_float32_matmul_precision("highest")

    def undo() -> None:
        torch.set_float32_matmul_precision(of_all_devices)
        for library, precision, parents in users:
            library.fp32_precision = "none" if precision == parents else precision

    return undo


def use_compile_cache() -> Undo:
    """PyTorch looks at these variables each time that it compiles; and sets them itself, to a default, if they are not
    set.
    """
    users = {name: os.environ.get(name) for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")}
    chosen = {name for name, folder in users.items() if folder is not None and not is_default(folder)}
    if "TORCHINDUCTOR_CACHE_DIR" not in chosen:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = CACHE
        if "TRITON_CACHE_DIR" not in chosen:  # PyTorch sets it to a folder inside of the other
            os.environ.pop("TRITON_CACHE_DIR", None)

    def undo() -> None:
        for name, folder in users.items():
            if folder is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = folder

    return undo


def open_compile_cache() -> None:
    """Must be called within `scope` before PyTorch's compiler is used in any way: see `backends.caches`."""
    if os.environ.get("TORCHINDUCTOR_CACHE_DIR") == CACHE:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(open_cache(Path(CACHE)))


def missing_compiler() -> str | None:
    """What PyTorch needs to compile for the CPU and does not find, in words; None if all is there."""
    with COMPILE_CACHE:
        open_compile_cache()
        from torch._inductor.cpp_builder import get_cpp_compiler  # here, because it takes seconds to import
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            return "a C++ compiler (g++, or the one that CXX names)"
    return None if shutil.which("openssl") else "the program openssl"


def is_default(folder: str) -> bool:
    """Whether PyTorch chose the folder and not the user. The module that chooses takes seconds to import: where nobody
    has imported it, PyTorch chose nothing.
    """
    return CHOOSER in sys.modules and f"{folder}/".startswith(f"{default_folder()}/")


@functools.cache
def default_folder() -> str:
    """Where PyTorch keeps compiled code if it is told nothing."""
    folder: str = sys.modules[CHOOSER].default_cache_dir()
    return folder


THREAD_COUNTS = threading.Lock()
"""Held while the number that new threads begin with is another one than the user's."""
PRECISION = WhileComputing(use_full_precision)
COMPILE_CACHE = WhileComputing(use_compile_cache)
