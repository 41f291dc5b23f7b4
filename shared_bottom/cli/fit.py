"""fit: train the network of an experiment on its table."""

import warnings
from pathlib import Path

from shared_bottom.checkpoint.saver import check_options
from shared_bottom.cli.evaluate import own_metrics, own_units
from shared_bottom.cli.options import FitExperiment, read
from shared_bottom.cli.printing import print_metrics, print_table
from shared_bottom.disk import write_whole
from shared_bottom.folder import CHECKPOINTS, EXPERIMENT, Trained, load, run_folder, write_trained
from shared_bottom.reports import check_events, write_events, write_report
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.rows import fit_columns, read_rows
from spec.data import Dataset
from spec.files import to_toml
from spec.model import ModelSpec
from spec.params import Params, parameter_count
from spec.results import DivergenceError, History

HERE = Path()
"""What paths on the command line are relative to; those of the experiment are absolute."""


def fit(options: FitExperiment) -> None:
    """Reads, trains, writes the folder, prints a summary. Raises DivergenceError once what was reached is reported."""
    experiment, out, backend = options.experiment, options.out, load(options.backend)
    checkpoints = out / CHECKPOINTS
    check_options(checkpoints, options.save_every, 1, options.resume)
    if options.tensorboard:
        check_events()
    with run_folder(out, resume=options.resume):
        columns = fit_columns(experiment, HERE)
        rows, validation = rows_of(columns)
        model = columns.model(experiment.model)
        if (out / EXPERIMENT).exists():  # that of a run to resume stays until the run is known to be the same
            began, epochs = read(out / EXPERIMENT).train.epochs, experiment.train.epochs
            if epochs < began:  # the flags of the first start were left out, most likely
                warnings.warn(f"train.epochs: {epochs} now, {began} when the run began", UserWarning, stacklevel=2)
        else:
            write_whole(out / EXPERIMENT, to_toml(experiment).encode())
        seen, evaluated_on = (rows, "training rows") if validation is None else (validation, "validation rows")
        facts = {
            "Experiment": str(options.file),
            "Backend": backend.name,
            "Training rows": f"{rows.rows:,}",
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
                labels=own_units(columns, seen.labels) if predictions else {},
                predictions=own_units(columns, predictions),
                sample_weight=seen.sample_weight if predictions else None,
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
                rows,
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
        predictions = backend.predict(model, fitted.params, seen, device=experiment.train.device)
        report(fitted.history, predictions)
    if not options.quiet:
        print_table("", ["Run", str(out)], (facts | outcome(model, fitted.history)).items())
        print_metrics(f"{evaluated_on}, in the columns' own units", own_metrics(columns, model, predictions, seen))
        print(f"report: {out / 'report.html'}")


def rows_of(columns: FittedColumns) -> tuple[Dataset, Dataset | None]:
    """The training and the validation rows."""
    data = columns.data
    if data.validation:
        return read_rows(columns, HERE, data.train), read_rows(columns, HERE, data.validation)
    if data.validation_fraction:
        return read_rows(columns, HERE, data.train, "training"), read_rows(columns, HERE, data.train, "validation")
    return read_rows(columns, HERE, data.train), None


def outcome(model: ModelSpec, history: History) -> dict[str, str]:
    """What was trained, and how: what the report says in its own words."""
    best = "" if history.best_epoch is None else f", the best being {history.best_epoch}"
    return {
        "Parameters": f"{parameter_count(model):,}",
        "Execution": f"{history.execution} on the {history.device}",
        "Epochs": f"{len(history.epochs)}{best}",
    }
