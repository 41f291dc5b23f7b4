"""Does sharing help? Each task alone against all together, with the same budget, over several seeds.

    python -m bench.sharing FILE.toml --backend jax --json sharing.json --plot sharing.png
    python -m bench.sharing FILE.toml --ways shared_bottom,separate,mmoe,ple

All runs of a seed take the same number of steps on the same rows in the same order. Initial parameters are drawn from
(seed, name), so that what has one name in two networks starts alike: a task's head, the embeddings, and the trunk alone
and in Shared-Bottom. There, the only difference is whether the other tasks train that trunk too.
"""

import shlex
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.options import limit_threads, parse
from bench.sharing.options import Options, check, kinds
from shared_bottom.cli.printing import standard_streams
from shared_bottom.cli.program import fail

if TYPE_CHECKING:
    from backends.base import SharedBackend
    from bench.sharing.cases import Problem
    from bench.sharing.results import Sharing
    from spec import Backend, TrainSpec


@standard_streams()
def main() -> None:
    """Parse the arguments, check everything, then train and compare."""
    options = parse(Options, "python -m bench.sharing")
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
    """The comparison before the first seed: what is compared, without results.

    Raises ValueError if the problem or the backend does not suit one of the ways.
    """
    from bench.sharing.results import Sharing, Way
    from bench.sharing.runs import with_one_task
    from shared_bottom.run.plan import check_balancing
    from spec.data import label_present
    from spec.machine import describe

    data, train = problem.data, problem.train
    models = problem.models(kinds(options.ways))
    for model in models.values():
        backend.check_model(model)
        check_balancing(model, train)
    batch = min(train.batch_size, data.rows)
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
        alone=Way.of([with_one_task(problem.model, task) for task in problem.model.tasks], batch),
        ways={name: Way.of([model], batch) for name, model in models.items()},
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

    from bench.sharing.runs import draw, run_seed
    from bench.sharing.summary import summarise
    from shared_bottom.checkpoint.format import CheckpointError
    from spec import DivergenceError

    def say(message: str) -> None:
        done = f"{len(run.seeds)} of {len(trains)} seeds done"
        Console(stderr=True).print(f"{message} ({done})", style="dim", highlight=False, markup=False, soft_wrap=True)

    rows, models = draw(problem.data, run.gradient_rows), problem.models(list(run.ways))
    try:
        for train in trains:
            seed, notes = run_seed(backend, problem, models, train, rows, say)
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
