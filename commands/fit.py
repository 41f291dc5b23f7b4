"""fit: train the network of an experiment on its table."""

from collections.abc import Mapping
from pathlib import Path

from backends.saving import check_options
from commands.evaluate import own_metrics, own_units
from commands.folder import CHECKPOINTS, EXPERIMENT, Trained, load, run_folder, write_trained
from commands.options import FitExperiment
from commands.tables import Metrics, print_metrics, print_table
from datasets.columns import FittedColumns
from datasets.table import fit_columns, read_rows
from reports import check_events, write_events, write_report
from spec.data import Dataset
from spec.files import to_toml, write_whole
from spec.params import parameter_shapes
from spec.results import DivergenceError, Fitted

HERE = Path()
"""What paths on the command line are relative to; those of the experiment are absolute."""


def fit(options: FitExperiment) -> None:
    """Reads, trains, writes the folder, prints a summary."""
    experiment, out, backend = options.experiment, options.out, load(options.backend)
    train, checkpoints = experiment.train, out / CHECKPOINTS
    check_options(checkpoints, options.save_every, 1, options.resume)
    if options.tensorboard:
        check_events()
    with run_folder(out, resume=options.resume):
        columns = fit_columns(experiment, HERE)
        rows, validation = read(columns)
        model = columns.model(experiment.model)
        if not (out / EXPERIMENT).exists():  # that of a run to resume stays until the run is known to be the same
            write_whole(out / EXPERIMENT, to_toml(experiment).encode())
        try:
            fitted = backend.fit(
                model,
                train,
                rows,
                validation,
                checkpoint=checkpoints,
                save_every=options.save_every,
                resume=options.resume,
                progress="none" if options.quiet else "lines",
            )
        except DivergenceError as error:
            write_whole(out / "metrics.jsonl", epoch_lines(error.history).encode())
            raise
        trained = Trained(columns=columns, model=model, params=fitted.params)
        write_whole(out / EXPERIMENT, to_toml(experiment).encode())
        write_trained(out, trained)
        seen, evaluated_on = (rows, "training rows") if validation is None else (validation, "validation rows")
        predictions = backend.predict(model, fitted.params, seen, device=train.device)
        facts = facts_of(trained, fitted, rows, validation)
        write_report(
            out,
            title=options.file.stem,
            model=model,
            train=train,
            history=fitted.history,
            labels=own_units(columns, seen.labels),
            predictions=own_units(columns, predictions),
            sample_weight=seen.sample_weight,
            evaluated_on=evaluated_on,
            extra={"backend": backend.name} | facts,
        )
        if options.tensorboard:
            write_events(out, fitted.history)
    if not options.quiet:
        summary(out, facts, evaluated_on, own_metrics(columns, model, predictions, seen))


def read(columns: FittedColumns) -> tuple[Dataset, Dataset | None]:
    """The training and the validation rows."""
    data = columns.data
    if data.validation:
        return read_rows(columns, HERE, data.train), read_rows(columns, HERE, data.validation)
    if data.validation_fraction:
        return read_rows(columns, HERE, data.train, "training"), read_rows(columns, HERE, data.train, "validation")
    return read_rows(columns, HERE, data.train), None


def facts_of(trained: Trained, fitted: Fitted, rows: Dataset, validation: Dataset | None) -> dict[str, str]:
    """What a reader wants to know of the run first."""
    history = fitted.history
    sizes = parameter_shapes(trained.model)
    epochs = str(len(history.epochs))
    if history.best_epoch is not None:
        epochs += f", the best being {history.best_epoch}"
    return {
        "training rows": f"{rows.rows:,}",
        "validation rows": f"{validation.rows if validation else 0:,}",
        "parameters": f"{sum(fitted.params[name].size for name in sizes):,}",
        "execution": f"{history.execution} on the {history.device}",
        "epochs": epochs,
    }


def summary(out: Path, facts: Mapping[str, str], evaluated_on: str, metrics: Metrics) -> None:
    """Prints what came of the run."""
    print_table("", ["run", str(out)], facts.items())
    print_metrics(f"{evaluated_on}, in the columns' own units", metrics)
    print(f"report: {out / 'report.html'}")
