"""The options of the bench's command line, and the checks of their values."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from spec import backend_names

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train a case and print what each execution costs and buys. Exit code 1 if the rows' losses do not agree."""

    backend: Annotated[
        str, tyro.conf.arg(help=f"One of {', '.join(backend_names())}; or all, each in a process of its own.")
    ] = "all"
    case: str = "tutorial"
    """What to train: tutorial, census, wide, tasks, batch, vocabulary, rows, or a FILE.toml with [model] and [train],
    on the first rows of its [data], or on random rows if it has none; of [train], execution and device are this
    command's."""
    execution: Literal["all", "eager", "step", "epoch"] = "all"
    """How much is compiled: nothing, one step, or a scan over many steps."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes a GPU if there is one."""
    threads: int = 1
    """Processor cores to use."""
    processes: str | None = None
    """Numbers of processes, such as 1,2: as many are started on this machine for each, and share every batch. Each has
    --threads threads. Instead of loops to compare with, the table then has what each number buys."""
    steps: int | None = None
    """Steps of a call; if not given, the case's own: 32, census 64, wide 4, rows up to 576. All losses must agree at
    the eighth."""
    repetitions: int = 9
    """How often every row is timed; fewer than 7 tell little of the spread."""
    data_dir: Path | None = None
    """Folder with the Census-Income files; without it, census trains on synthetic rows of the same columns."""
    cold: bool = False
    """Compile with empty caches in a temporary folder, instead of the user's caches on disk."""
    json: Path | None = None
    """Write the run, every sample included, to this file: the schema is in bench/results.py."""
    plot: Path | None = None
    """Draw the run to this PNG."""
    compare: Path | None = None
    """The JSON of an earlier run: print each row's time over its time then; exit code 1 if one has become slower."""
    tolerance: float = 0.3
    """By how much a row may be slower than in --compare."""


def check(options: Options) -> None:
    """Raises a ValueError that names the option, before anything is built."""
    # Imported here, so that `--help` does not wait for them.
    from bench.cases import check_case
    from shared_bottom.disk import check_output
    from spec.machine import check_threads

    names = [*backend_names(), "all"]
    if options.backend not in names:
        raise ValueError(f"--backend: expected one of {', '.join(names)}, got {options.backend!r}")
    check_threads(options.threads, "--threads")
    process_counts(options.processes)
    if options.steps is not None and options.steps < 1:
        raise ValueError(f"--steps: expected 1 or more, got {options.steps}")
    if options.repetitions < 1:
        raise ValueError(f"--repetitions: expected 1 or more, got {options.repetitions}")
    if not 0 <= options.tolerance < float("inf"):
        raise ValueError(f"--tolerance: expected a finite number of 0 or more, got {options.tolerance}")
    check_case(options.case, options.data_dir)
    check_output("--json", options.json, [Path(options.case)])
    check_output("--plot", options.plot, [Path(options.case)])


def process_counts(text: str | None) -> list[int]:
    """The numbers of processes, none if they are not compared. Raises ValueError."""
    words = [] if text is None else text.split(",")
    counts = [int(word) for word in words if word.isdecimal() and int(word) > 0]
    if len(set(counts)) < len(words):
        raise ValueError(f"--processes: expected different numbers above 0, separated by commas, got {text!r}")
    return counts


def parse(options: type[Parsed], prog: str) -> Parsed:
    """The options that the command line gives. Help exits with code 0, and what is wrong in one line with code 2."""
    from shared_bottom.cli.asking import ask
    from shared_bottom.cli.program import fail

    try:
        parsed: Parsed = ask(options, sys.argv[1:], prog=prog)
    except ValueError as error:
        fail(error)
    return parsed


def limit_threads(threads: int) -> None:
    """Let this process use only so many cores, in whatever framework, those that a backend is compared with included.

    Must be called before a framework is imported.
    """
    from spec.machine import cores

    if hasattr(os, "sched_setaffinity"):  # only Linux has it
        os.sched_setaffinity(0, cores()[:threads])
    os.environ["OMP_NUM_THREADS"] = str(threads)
