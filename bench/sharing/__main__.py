"""Does sharing help? Each task alone against all together, with the same budget, over several seeds.

    python -m bench.sharing FILE.toml --backend jax --json sharing.json --plot sharing.png

Both runs of a seed take the same number of steps on the same rows in the same order. They also start from the same
trunk, because initial parameters are drawn from (seed, name). The only difference is whether the other tasks train that
trunk too.
"""

import shlex
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from bench.options import fail, limit_threads
from shared_bottom.cli.printing import standard_streams
from spec import backend_names

if TYPE_CHECKING:
    from backends.base import SharedBackend
    from bench.sharing.cases import Problem
    from bench.sharing.results import Sharing
    from spec import Backend, TrainSpec


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train each task alone and all together, and say for each whether sharing helps, with what certainty."""

    file: tyro.conf.Positional[str]
    """A FILE.toml with [model], [train] and [data], or census, with --data-dir."""
    backend: Annotated[
        str | None,
        tyro.conf.arg(help=f"One of {', '.join(backend_names())}; if not given, the first of them that is installed."),
    ] = None
    seeds: int = 5
    """Seeds, from the file's own upwards; fewer than 2 give no interval, and so no verdict."""
    gradient_rows: int = 4096
    """Training rows, drawn at random, that the tasks' gradients are compared on."""
    threads: int = 1
    """Processor cores to use."""
    data_dir: Path | None = None
    """Folder with the Census-Income files, for census."""
    json: Path | None = None
    """Write all of it, every seed's values included, to this file: the schema is in bench/sharing/results.py."""
    plot: Path | None = None
    """Draw it to this file: .png or .svg."""


def check(options: Options) -> None:
    """Raises a ValueError that names the option, before anything is read."""
    # Imported here, so that `--help` does not wait for them.
    from shared_bottom.disk import check_output
    from spec.machine import check_threads

    names = backend_names()
    if options.backend is not None and options.backend not in names:
        raise ValueError(f"--backend: expected one of {', '.join(names)}, got {options.backend!r}")
    for option, number in (("--seeds", options.seeds), ("--gradient-rows", options.gradient_rows)):
        if number < 1:
            raise ValueError(f"{option}: expected 1 or more, got {number}")
    check_threads(options.threads, "--threads")
    if options.file != "census" and not options.file.endswith(".toml"):
        raise ValueError(f"FILE: expected a FILE.toml or census, got {options.file!r}")
    if options.file == "census" and (options.data_dir is None or not options.data_dir.is_dir()):
        given = "none" if options.data_dir is None else repr(str(options.data_dir))
        raise ValueError(f"--data-dir: expected the folder of the Census-Income files with census, got {given}")
    if options.file != "census" and options.data_dir is not None:
        raise ValueError(f"--data-dir: expected none, only census reads it, got {str(options.data_dir)!r}")
    check_output("--json", options.json, [Path(options.file)])
    check_output("--plot", options.plot, [Path(options.file)])
    if options.plot and options.plot.suffix not in (".png", ".svg"):
        raise ValueError(f"--plot: expected a .png or .svg, got {str(options.plot)!r}")


@standard_streams()
def main() -> None:
    """Parse the arguments, check everything, then train and compare."""
    options = tyro.cli(Options, prog="python -m bench.sharing")
    try:
        check(options)
        limit_threads(options.threads)
        from bench.sharing.cases import read_problem
        from shared_bottom.trained import choose_backend

        backend = choose_backend(options.backend)
        problem = read_problem(options.file, options.data_dir)
        backend.resolve_device(problem.train.device)
        backend.check_training(problem.train, problem.train.execution)
        trains = problem.seeds(options.seeds)
        run = begin(options, problem, backend)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (ValueError, ImportError, OSError) as error:
        fail(error)
    stopped_by = study(run, backend, problem, trains)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the results so far are shown even if Ctrl-C comes again
    if run.seeds:
        try:
            show(run, options)
        except OSError as error:
            fail(error)
    if isinstance(stopped_by, Exception):
        fail(stopped_by)
    raise SystemExit(130 if stopped_by else 0)


def begin(options: Options, problem: "Problem", backend: "SharedBackend") -> "Sharing":
    """The comparison before the first seed: what is compared, without results."""
    from bench.sharing.results import Sharing
    from spec.data import label_present
    from spec.machine import describe

    data, train = problem.data, problem.train
    return Sharing(
        command=shlex.join(["python", "-m", "bench.sharing", *sys.argv[1:]]),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        name=problem.name,
        rows_from=problem.rows_from,
        backend=backend.name,
        threads=options.threads,
        machine=describe(backend.libraries),
        model=problem.model,
        train=train,
        training_rows=data.rows,
        labelled={task.name: float(label_present(data.labels[task.name], task).mean()) for task in problem.model.tasks},
        evaluated_on=problem.evaluated_on,
        evaluated_rows=problem.evaluated.rows,
        steps=train.epochs * train.steps_per_epoch(data.rows),
        gradient_rows=min(options.gradient_rows, data.rows),
    )


def study(run: "Sharing", backend: "Backend", problem: "Problem", trains: "list[TrainSpec]") -> BaseException | None:
    """Add the results of each seed to `run`. If Ctrl-C or an error ends it early, return that."""
    from rich.console import Console

    from bench.sharing.results import summarise
    from bench.sharing.runs import draw, run_seed
    from shared_bottom.checkpoint.format import CheckpointError
    from spec import DivergenceError

    def say(message: str) -> None:
        done = f"{len(run.seeds)} of {len(trains)} seeds done"
        Console(stderr=True).print(f"{message} ({done})", style="dim", highlight=False, markup=False, soft_wrap=True)

    rows = draw(problem.data, run.gradient_rows)
    try:
        for train in trains:
            seed, notes = run_seed(backend, problem, train, rows, say)
            run.seeds.append(seed)
            run.notes = sorted({*run.notes, *notes})
    except (
        KeyboardInterrupt,
        SystemExit,
    ) as stop:  # while it saves checkpoints, `fit` turns Ctrl-C into SystemExit(130)
        if isinstance(stop, SystemExit) and stop.code != 130:
            raise
        run.stopped = "Ctrl-C"
        return stop
    except (DivergenceError, CheckpointError, OSError) as error:
        run.stopped = str(error)
        return error
    finally:
        if run.seeds:
            summarise(run)
    return None


def show(run: "Sharing", options: Options) -> None:
    """Print the comparison and write the files. Raises OSError."""
    from bench.sharing.report import print_sharing
    from bench.sharing.results import to_json
    from shared_bottom.disk import write_whole

    print_sharing(run)
    if options.json:
        write_whole(options.json, to_json(run))
    if options.plot:
        from bench.sharing.plots import plot_sharing

        write_whole(options.plot, plot_sharing(run, options.plot.suffix[1:]))


if __name__ == "__main__":
    main()
