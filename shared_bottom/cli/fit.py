"""The command fit: trains the network of an experiment on its table."""

import tempfile
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from shared_bottom.checkpoint.files import checkpoint_path, checkpoint_paths
from shared_bottom.checkpoint.saver import check_options
from shared_bottom.cli.options import FitExperiment
from shared_bottom.cli.parsing import read
from shared_bottom.cli.printing import OutputError, print_columns, print_metrics, print_table, say
from shared_bottom.disk import keeping, write_whole
from shared_bottom.folder import (
    CHECKPOINTS,
    EXPERIMENT,
    MODEL,
    read_given,
    run_folder,
    write_given,
    write_trained,
)
from shared_bottom.predictions import evaluation_in_column_units, in_column_units
from shared_bottom.reports import check_events, write_events, write_report
from shared_bottom.run.metrics import predicted
from shared_bottom.tables.cache import default_folder
from shared_bottom.tables.embeddings import given_values, starting_params
from shared_bottom.tables.summary import HEADER, cells
from shared_bottom.tables.training import read_table
from shared_bottom.trained import Trained, choose_backend
from spec.data import Dataset
from spec.files import to_toml
from spec.machine import check_threads
from spec.model import ModelSpec
from spec.params import Params, parameter_count
from spec.results import DivergenceError, History
from spec.validation import one_line

WORKING_FOLDER = Path()
"""The folder that paths on the command line are relative to. Those of the experiment are absolute already."""

MOST = 1_000_000
"""The most training rows that are evaluated when there are no validation rows, and the most rows of a report. The AUC
and the plots need these rows' labels and predictions in memory at once."""


def fit(options: FitExperiment) -> None:
    """Train the network of an experiment, write the folder of the run, and print a summary.

    Raises DivergenceError if the loss is not finite, after the report of the run up to that step is written;
    SystemExit(1) if all is written but the checkpoint of the run's end.
    """
    experiment, out, backend = options.experiment, options.out, choose_backend(options.backend)
    checkpoints = out / CHECKPOINTS
    check_threads(options.threads)
    check_options(checkpoints, options.save_every, 1, options.resume)
    if options.no_cache and options.cache is not None:
        raise ValueError(f"--cache: expected none with --no-cache, got {str(options.cache)!r}")
    if options.cache is not None and options.cache.exists() and not options.cache.is_dir():
        raise ValueError(f"--cache: expected a folder, got {str(options.cache)!r}")
    if options.cache is not None and options.cache.resolve() in (out.resolve(), checkpoints.resolve()):  # locked
        raise ValueError(f"--cache: expected another folder than those of the run, got {str(options.cache)!r}")
    if options.tensorboard:
        check_events()
    with run_folder(out, resume=options.resume):
        # A run that goes on starts from parameters that are saved, so that it needs no file of embeddings.
        goes_on = bool(checkpoint_paths(checkpoints))
        given = given_values(experiment.data, WORKING_FOLDER, known=read_given(out) if goes_on else {})
        cache = None if options.no_cache else options.cache or default_folder()
        columns, training, validation = read_table(experiment, given=given, cache=cache)
        model = columns.model(experiment.model)
        if (out / EXPERIMENT).exists():  # a resumed run: its file stays until the run is known to be the same
            epochs_at_start, epochs = read(out / EXPERIMENT).train.epochs, experiment.train.epochs
            if epochs < epochs_at_start:  # most likely the flags of the first start were left out
                message = f"train.epochs: {epochs} now, {epochs_at_start} when the run began"
                warnings.warn(message, UserWarning, stacklevel=2)
        else:
            write_whole(out / EXPERIMENT, to_toml(experiment).encode())
        if given and not goes_on:
            write_given(out, given)
        evaluated, evaluated_on = (validation, "validation rows") if validation else spaced(training, "training rows")
        reported, reported_on = spaced(evaluated, evaluated_on)
        facts = {
            "Experiment": str(options.file),
            "Backend": backend.name,
            "Training rows": f"{training.rows:,}",
            "Validation rows": f"{validation.rows if validation else 0:,}",
        }
        if any(
            columns.data.labels[task].transform != "none" or columns.data.labels[task].standardised
            for task in columns.labels
        ):
            facts["Units"] = f"the columns' for the {evaluated_on}; the network's for the epochs"

        def report(history: History, predictions: Params) -> None:
            write_report(
                out,
                title=options.file.stem,
                model=model,
                train=experiment.train,
                history=history,
                labels=in_column_units(columns, reported.labels) if predictions else {},
                predictions=in_column_units(columns, predictions),
                sample_weight=reported.sample_weight if predictions else None,
                task_weight=reported.task_weight if predictions else None,
                classes=columns.classes | {task: columns.data.labels[task].columns for task in columns.labels},
                evaluated_on=reported_on,
                extra=facts,
                columns=[HEADER, *map(cells, columns.summary)],
            )
            if options.tensorboard:
                write_events(out, history)

        if not options.quiet:
            with suppress(OutputError):  # where nobody reads, the run is not lost, and its end says so
                print_columns(columns.summary)
        try:
            fitted = backend.fit(
                model,
                experiment.train,
                training,
                validation,
                params=None if goes_on else starting_params(columns, model, experiment.train, WORKING_FOLDER),
                checkpoint=checkpoints,
                save_every=options.save_every,
                resume=options.resume,
                threads=options.threads,
                progress="none" if options.quiet else "lines",
            )
        except DivergenceError as error:
            try:
                report(error.history, {})
            except OSError as failure:  # the divergence is the news
                warnings.warn(f"the report was not written: {one_line(failure)}", UserWarning, stacklevel=2)
            raise
        end = checkpoint_path(checkpoints, len(fitted.history.step_loss))
        save_model(out, Trained(columns=columns, model=model, params=fitted.params), end)
        with keeping(f"the trained model is kept: {out / MODEL}"):
            write_whole(out / EXPERIMENT, to_toml(experiment).encode())
            device, threads = experiment.train.device, options.threads
            predictions = backend.predict(model, fitted.params, reported, device=device, threads=threads)
            report(fitted.history, predictions)
    if not options.quiet:
        print()  # after the lines of progress
        print_table("", ["Run", str(out)], (facts | outcome(model, fitted.history)).items(), texts=2)
        pieces: Iterable[tuple[Dataset, Params]] = [(reported, predictions)]
        if reported is not evaluated:
            pieces = predicted(backend, model, fitted.params, evaluated, device, threads)
        metrics = evaluation_in_column_units(columns, model, pieces).metrics()
        print_metrics(f"{evaluated_on}, in the columns' own units", metrics)
        print(f"report: {out / 'report.html'}")
    if not end.exists():
        say("error", f"{end}: expected the checkpoint of the run's end, which could not be saved; the rest is complete")
        raise SystemExit(1)


def spaced(rows: Dataset, called: str) -> tuple[Dataset, str]:
    """Rows, or as many of them as are looked at, from the first to the last; and what they are called."""
    every = -(-rows.rows // MOST)
    return (rows, called) if every == 1 else (rows.take(slice(None, None, every)), f"{called}, one in {every}")


def save_model(out: Path, trained: Trained, end: Path) -> None:
    """Write the trained network into the folder of the run; if that fails, see to it that it is not lost.

    end: the checkpoint of the run's end. If it was saved, the network can be written later, by resuming.

    Raises OSError, whose message says where the network is.
    """
    try:
        write_trained(out, trained)
    except OSError as error:
        kept = f"the end of the run is kept, and --resume writes the model: {end}"
        if not end.exists():
            elsewhere = Path(tempfile.mkdtemp(prefix="trained-"))
            with keeping(f"{out / MODEL} could not be written either: {error.strerror}"):
                write_trained(elsewhere, trained)
            kept = f"the trained model is kept: {elsewhere / MODEL}"
        with keeping(kept):
            raise error


def outcome(model: ModelSpec, history: History) -> dict[str, str]:
    """The size of the network, how it was executed and the number of epochs, for the printed summary."""
    best_epoch = "" if history.best_epoch is None else f", the best being {history.best_epoch}"
    return {
        "Parameters": f"{parameter_count(model):,}",
        "Execution": f"{history.execution} on the {history.device}, threads: {history.threads}",
        "Epochs": f"{len(history.epochs)}{best_epoch}",
    }
