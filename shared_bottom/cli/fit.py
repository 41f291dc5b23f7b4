"""The command fit: trains the network of an experiment on its table."""

import warnings
from pathlib import Path

from shared_bottom.checkpoint.saver import check_options
from shared_bottom.cli.evaluate import in_column_units, metrics_in_column_units
from shared_bottom.cli.options import FitExperiment
from shared_bottom.cli.parsing import read
from shared_bottom.cli.printing import print_metrics, print_table
from shared_bottom.disk import write_whole
from shared_bottom.folder import CHECKPOINTS, EXPERIMENT, Trained, choose_backend, run_folder, write_trained
from shared_bottom.reports import check_events, write_events, write_report
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.rows import Subset, fit_columns, read_rows
from spec.data import Dataset
from spec.files import to_toml
from spec.model import ModelSpec
from spec.params import Params, parameter_count
from spec.results import DivergenceError, History

WORKING_FOLDER = Path()
"""The folder that paths on the command line are relative to. Those of the experiment are absolute already."""


def fit(options: FitExperiment) -> None:
    """Train the network of an experiment, write the folder of the run, and print a summary.

    Raises DivergenceError if the loss is not finite, after the report of the run up to that step is written.
    """
    experiment, out, backend = options.experiment, options.out, choose_backend(options.backend)
    checkpoints = out / CHECKPOINTS
    check_options(checkpoints, options.save_every, 1, options.resume)
    if options.tensorboard:
        check_events()
    with run_folder(out, resume=options.resume):
        columns = fit_columns(experiment, WORKING_FOLDER)
        training, validation = training_and_validation(columns)
        model = columns.model(experiment.model)
        if (out / EXPERIMENT).exists():  # a resumed run: its file stays until the run is known to be the same
            epochs_at_start, epochs = read(out / EXPERIMENT).train.epochs, experiment.train.epochs
            if epochs < epochs_at_start:  # most likely the flags of the first start were left out
                message = f"train.epochs: {epochs} now, {epochs_at_start} when the run began"
                warnings.warn(message, UserWarning, stacklevel=2)
        else:
            write_whole(out / EXPERIMENT, to_toml(experiment).encode())
        evaluated = training if validation is None else validation
        evaluated_on = "training rows" if validation is None else "validation rows"
        facts = {
            "Experiment": str(options.file),
            "Backend": backend.name,
            "Training rows": f"{training.rows:,}",
            "Validation rows": f"{validation.rows if validation else 0:,}",
        }
        if any(label.transform != "none" or label.standardise for label in columns.data.labels.values()):
            facts["Units"] = f"the columns' own for the {evaluated_on}; for the epochs, what the network learns"

        def report(history: History, predictions: Params) -> None:
            write_report(
                out,
                title=options.file.stem,
                model=model,
                train=experiment.train,
                history=history,
                labels=in_column_units(columns, evaluated.labels) if predictions else {},
                predictions=in_column_units(columns, predictions),
                sample_weight=evaluated.sample_weight if predictions else None,
                task_weight=evaluated.task_weight if predictions else None,
                classes=columns.classes,
                evaluated_on=evaluated_on,
                extra=facts,
            )
            if options.tensorboard:
                write_events(out, history)

        try:
            fitted = backend.fit(
                model,
                experiment.train,
                training,
                validation,
                checkpoint=checkpoints,
                save_every=options.save_every,
                resume=options.resume,
                progress="none" if options.quiet else "lines",
            )
        except DivergenceError as error:
            report(error.history, {})
            raise
        write_whole(out / EXPERIMENT, to_toml(experiment).encode())
        write_trained(out, Trained(columns=columns, model=model, params=fitted.params))
        predictions = backend.predict(model, fitted.params, evaluated, device=experiment.train.device)
        report(fitted.history, predictions)
    if not options.quiet:
        print_table("", ["Run", str(out)], (facts | outcome(model, fitted.history)).items())
        metrics = metrics_in_column_units(columns, model, predictions, evaluated)
        print_metrics(f"{evaluated_on}, in the columns' own units", metrics)
        print(f"report: {out / 'report.html'}")


def training_and_validation(columns: FittedColumns) -> tuple[Dataset, Dataset | None]:
    """The training rows and the validation rows of an experiment's files, or None if it has no validation rows."""
    data = columns.data
    subset: Subset = "training" if data.validation_fraction else "all"
    training = read_rows(columns, WORKING_FOLDER, data.train, subset)
    if data.validation:
        return training, read_rows(columns, WORKING_FOLDER, data.validation)
    if data.validation_fraction:
        return training, read_rows(columns, WORKING_FOLDER, data.train, "validation")
    return training, None


def outcome(model: ModelSpec, history: History) -> dict[str, str]:
    """The size of the network, how it was executed and the number of epochs, for the printed summary."""
    best_epoch = "" if history.best_epoch is None else f", the best being {history.best_epoch}"
    return {
        "Parameters": f"{parameter_count(model):,}",
        "Execution": f"{history.execution} on the {history.device}",
        "Epochs": f"{len(history.epochs)}{best_epoch}",
    }
