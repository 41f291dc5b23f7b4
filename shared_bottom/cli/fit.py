"""The command fit: trains the network of an experiment on its table."""

import warnings
from contextlib import nullcontext, suppress
from dataclasses import replace

from shared_bottom.checkpoint.saver import check_options
from shared_bottom.cli.beginning import Beginning, backend_of, beginning_of, start_of
from shared_bottom.cli.live import LiveFiles
from shared_bottom.cli.options import FitExperiment
from shared_bottom.cli.outcome import Outcome
from shared_bottom.fit import fit as train
from shared_bottom.folder import CHECKPOINTS, run_folder
from shared_bottom.reports import check_events
from shared_bottom.run.alike import check_alike
from shared_bottom.run.errors import ProcessError, check_timeout
from shared_bottom.run.join import joined
from shared_bottom.run.watcher import EVENTS
from shared_bottom.tables.cache import default_folder
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.training import read_table
from spec.backend import FitRequest
from spec.data import Dataset
from spec.machine import check_threads
from spec.results import DivergenceError

KEPT = 3
"""Checkpoints that stay, besides the best."""


def fit(options: FitExperiment) -> None:
    """Train the network of an experiment, write the folder of the run, and print a summary.

    Of several processes that train it together each reads the rows; process 0 alone writes and prints.

    Raises DivergenceError if the loss is not finite, after the report of the run up to that step is written;
    ProcessError if another process is gone; SystemExit(1) if all is written but the checkpoint of the run's end.
    """
    experiment, backend, checkpoints = options.experiment, backend_of(options), options.out / CHECKPOINTS
    check_timeout(options.timeout)
    check(options)
    options = with_events(options)
    with joined(backend, options.timeout, options.threads) as processes:
        check_alike(processes, lambda: {"--out": str(options.out.resolve())}, "at the beginning", code=2)
        with run_folder(options.out, resume=options.resume) if processes.is_first else nullcontext():
            beginning = processes.first(lambda: beginning_of(options))
            # A process that waits for the rows which one that is gone was to encode must be ended from outside.
            with nullcontext() if processes.is_first else processes.computing():
                columns, training, validation = rows_of(options, beginning)
            model = columns.model(experiment.model)
            start = start_of(beginning, columns, model, experiment.train)
            params = start.params if start else None
            outcome, live = None, None
            if processes.is_first:
                outcome = Outcome(options, backend, columns, model, training, validation)
                outcome.begin(beginning, start)
                live = LiveFiles(options, backend.name, outcome.write_experiment)
            del beginning, start  # an earlier run's parameters need no memory any more
            request = FitRequest(
                model=model,
                train=experiment.train,
                data=training,
                validation=validation,
                params=params,
                checkpoint=checkpoints,
                save_every=options.save_every,
                keep=KEPT,
                resume=options.resume,
                threads=options.threads,
                timeout=options.timeout,
                progress="none" if options.quiet else "lines",
                on_epoch=None,
            )
            with live or nullcontext():
                try:
                    fitted = train(backend, request, live)
                except DivergenceError as error:
                    if outcome:
                        outcome.diverged(error)
                    with suppress(ProcessError):  # who has started the processes may end all when the first has ended
                        processes.gather(None)
                    raise
                if outcome:
                    outcome.end(fitted)
        saved = outcome.say(fitted) if outcome else None
        # What process 0 has written is complete whatever becomes of the others, who wait to know whether it is.
        with suppress(ProcessError) if processes.is_first else nullcontext():
            saved = processes.gather(saved)[0]
        if not saved:
            raise SystemExit(1)


def check(options: FitExperiment) -> None:
    """Raises ValueError, naming the flag, if one cannot be meant so; ImportError if a package for one is missing."""
    out, cache = options.out, options.cache
    check_threads(options.threads)
    check_options(out / CHECKPOINTS, options.save_every, 1, options.resume)
    if options.no_cache and cache is not None:
        raise ValueError(f"--cache: expected none with --no-cache, got {str(cache)!r}")
    if cache is not None and cache.exists() and not cache.is_dir():
        raise ValueError(f"--cache: expected a folder, got {str(cache)!r}")
    if cache is not None and cache.resolve() in (out.resolve(), (out / CHECKPOINTS).resolve()):  # locked
        raise ValueError(f"--cache: expected another folder than those of the run, got {str(cache)!r}")
    if options.tensorboard:
        check_events()


def with_events(options: FitExperiment) -> FitExperiment:
    """The flags, with --tensorboard if the run that is resumed has TensorBoard's file; a warning if it cannot grow."""
    if options.tensorboard or not (options.out / EVENTS).exists():
        return options
    try:
        check_events()
    except ImportError as error:
        warnings.warn(f"{options.out / EVENTS}: stays as it is: {error}", UserWarning, stacklevel=2)
        return options
    return replace(options, tensorboard=True)


def rows_of(options: FitExperiment, beginning: Beginning) -> tuple[FittedColumns, Dataset, Dataset | None]:
    """The columns, the training rows and the validation rows, which are kept unless the user says otherwise."""
    cache = None if options.no_cache else options.cache or default_folder()
    earlier = beginning.earlier.columns if beginning.earlier else None
    return read_table(options.experiment, given=beginning.given, cache=cache, earlier=earlier)
