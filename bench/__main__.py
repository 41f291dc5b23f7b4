"""The command line of the bench."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, cast

import tyro
from rich.console import Console

EXECUTIONS = ("eager", "step", "epoch")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a case and print what each execution costs: seconds of the first call, then microseconds a step."""

    backend: str = "all"
    """The framework: torch, jax, or all (each in a process of its own)."""
    case: str = "tutorial"
    """What to train: tutorial, census, wide, or a FILE.toml with [model] and [train], on random rows."""
    execution: Literal["all", "eager", "step", "epoch"] = "all"
    """How much is compiled: nothing, one step, or a scan over an epoch's steps."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    threads: int = 1
    """Processor cores to use."""
    data_dir: Path | None = None
    """Folder with the Census-Income files; without it, census trains on synthetic rows of the same columns."""
    json: Path | None = None
    """Write all samples to this file."""


def main() -> None:
    """Parse, check everything, then measure."""
    options = tyro.cli(Options, prog="python -m bench")
    try:
        _check(options)
        _limit_threads(options.threads)
        if options.backend == "all":
            _run_each(options)
        else:
            _run(options)
    except (ValueError, ImportError, OSError) as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    from spec.validation import one_line

    print(f"error: {one_line(error)}", file=sys.stderr)
    raise SystemExit(2)


def _check(options: Options) -> None:
    from bench.cases import check_case
    from bench.report import check_output
    from spec import backend_names

    names = [*backend_names(), "all"]
    if options.backend not in names:
        raise ValueError(f"--backend: expected one of {', '.join(names)}, got {options.backend!r}")
    cores = len(_cores())
    if not 1 <= options.threads <= cores:
        raise ValueError(f"--threads: expected 1 to {cores}, the cores of this machine, got {options.threads}")
    check_case(options.case, options.data_dir)
    check_output("--json", options.json)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _limit_threads(threads: int) -> None:
    # Before a framework is imported: JAX counts the cores that it may use when it starts, and knows no other knob.
    if hasattr(os, "sched_setaffinity"):  # elsewhere than on Linux, JAX takes all cores
        os.sched_setaffinity(0, _cores()[:threads])
    os.environ["OMP_NUM_THREADS"] = str(threads)


def _run_each(options: Options) -> None:
    from bench.report import print_table, read_rows, write_json
    from bench.timing import Row
    from spec import backend_names

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in backend_names():
            path = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", "bench", "--backend", name, "--case", options.case, "--json", str(path)]
            command += ["--execution", options.execution, "--device", options.device, "--threads", str(options.threads)]
            command += ["--data-dir", str(options.data_dir)] if options.data_dir else []
            done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
            if done.returncode:  # the process has said why
                raise SystemExit(done.returncode)
            rows += [row for row in read_rows(path) if row.execution != "tutorial's loop" or not rows]
    if options.json:
        write_json(options.json, {"case": options.case, "rows": [row.as_json() for row in rows]})
    print_table(f"{options.case}, each backend in a process of its own", rows)


def _run(options: Options) -> None:
    from backends.base import SharedBackend
    from bench.cases import load_case
    from bench.report import print_table, write_json
    from bench.timing import time_execution
    from spec import load_backend

    backend = cast(SharedBackend, load_backend(options.backend))
    device = backend.resolve_device(options.device)
    case = load_case(options.case, options.data_dir)
    progress = Console(stderr=True)
    rows = []
    if case.name == "tutorial" and importlib.util.find_spec("torch"):
        from bench.reference import time_tutorial_loop

        rows.append(time_tutorial_loop(options.threads))
    for execution in EXECUTIONS if options.execution == "all" else (options.execution,):
        if progress.is_terminal:
            progress.print(f"{options.backend} {execution} …")
        rows.append(time_execution(backend, case, execution, device, options.threads))
    if options.json:
        write_json(options.json, {"case": case.name, "rows": [row.as_json() for row in rows]})
    print_table(f"{case.name}: {case.rows_from}", rows)


if __name__ == "__main__":
    main()
