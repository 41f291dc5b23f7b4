"""What comes of the command fit: the files of the run's folder, and what is printed. Process 0 alone does it."""

import tempfile
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from shared_bottom.checkpoint.files import checkpoint_path
from shared_bottom.cli.beginning import Beginning, print_start
from shared_bottom.cli.options import FitExperiment
from shared_bottom.cli.parsing import read
from shared_bottom.cli.printing import OutputError, print_columns, print_metrics, print_table, say
from shared_bottom.disk import keeping, whole_folder, write_whole
from shared_bottom.folder import CHECKPOINTS, EXPERIMENT, MODEL, START, write_given, write_model
from shared_bottom.importance import PERMUTED_ROWS, importances_on, sample
from shared_bottom.predictions import evaluation_in_column_units, in_column_units
from shared_bottom.reports import write_events, write_report
from shared_bottom.run.gates import mean_gates
from shared_bottom.run.importance import Importances
from shared_bottom.run.metrics import predicted
from shared_bottom.start import Start
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.summary import HEADER, cells
from shared_bottom.trained import Trained
from spec.backend import Backend
from spec.data import PIECE_ROWS, Dataset
from spec.files import to_toml
from spec.model import ModelSpec
from spec.params import Params, parameter_count
from spec.results import DivergenceError, Fitted, History
from spec.validation import one_line

MOST = 1_000_000
"""The most training rows that are evaluated when there are no validation rows, and the most rows of a report. The AUC
and the plots need these rows' labels and predictions in memory at once."""


class Outcome:
    """What comes of one run: `begin` before it trains, then `end` or `diverged`, and at last `say`."""

    def __init__(
        self,
        options: FitExperiment,
        backend: Backend,
        columns: FittedColumns,
        model: ModelSpec,
        training: Dataset,
        validation: Dataset | None,
    ) -> None:
        self._options, self._backend, self._columns, self._model = options, backend, columns, model
        self._evaluated, self._evaluated_on = (
            (validation, "validation rows") if validation else spaced(training, "training rows")
        )
        self._reported, self._reported_on = spaced(self._evaluated, self._evaluated_on)
        self._predictions: Params = {}
        """Of the rows that are reported; none before the network is trained."""
        self._gates: Params = {}
        """Their mean weights on these rows."""
        self._importances: Importances | None = None
        """What the input columns matter on these rows, if it is asked for."""
        earlier = options.start_from or (options.out / START if (options.out / START).exists() else None)
        of_folder = options.file.resolve() == (options.out / EXPERIMENT).resolve()  # which every run calls so
        self._title = options.out.resolve().name if of_folder else options.file.stem
        self._facts = {
            "Experiment": str(options.file),
            "Backend": backend.name,
            **({"Starts from": str(earlier)} if earlier else {}),
            "Training rows": f"{training.rows:,}",
            "Validation rows": f"{validation.rows if validation else 0:,}",
        }
        labels = [
            (columns.data.labels[task.name], task.objective) for task in columns.tasks if task.name in columns.labels
        ]
        if any(label.transform != "none" or label.standardised(loss) for label, loss in labels):
            self._facts["Units"] = f"the columns' for the {self._evaluated_on}; the network's for the epochs"

    def begin(self, beginning: Beginning, start: Start | None) -> None:
        """Write what the run begins with, and print what is in the columns and what is taken over of an earlier run.

        start: the parameters that it starts from; None if it goes on.
        """
        out, experiment = self._options.out, self._options.experiment
        if start and beginning.earlier and not (out / START).exists():  # before the file that makes it a run's folder
            with whole_folder(out / START) as made:
                write_model(made, beginning.earlier)
        if (out / EXPERIMENT).exists():  # a resumed run: its file stays until the run is known to be the same
            earlier, epochs = read(out / EXPERIMENT).train.epochs, experiment.train.epochs
            if epochs < earlier:  # most likely the flags of that start were left out
                message = f"train.epochs: {epochs} now, {earlier} when the run was last started"
                warnings.warn(message, UserWarning, stacklevel=2)
        else:
            self.write_experiment()
        if start and beginning.given:
            write_given(out, beginning.given)
        if not self._options.quiet:
            with suppress(OutputError):  # where nobody reads, the run is not lost, and its end says so
                print_columns(self._columns.summary)
                if start and start.parts:
                    print_start(self._options.start_from or out / START, start)

    def diverged(self, error: DivergenceError) -> None:
        """Write the report of the run up to the step whose loss is not finite."""
        try:
            self._report(error.history)
        except OSError as failure:  # the divergence is the news
            warnings.warn(f"the report was not written: {one_line(failure)}", UserWarning, stacklevel=2)

    def end(self, fitted: Fitted) -> None:
        """Write the trained network and the report of the run. Raises OSError, which says what is kept."""
        out, options = self._options.out, self._options
        device, threads = options.experiment.train.device, options.threads
        trained = Trained(
            columns=self._columns,
            model=self._model,
            params=fitted.params,
            backend=self._backend.name,
            device=device,
            threads=threads,
        )
        save_model(out, trained, self._end_of(fitted))
        with keeping(f"the trained model is kept: {out / MODEL}"):
            self._predictions = self._backend.predict(
                self._model, fitted.params, self._reported, device=device, threads=threads
            )
            self._gates = mean_gates(self._backend, self._model, fitted.params, self._reported, device, threads)
            if options.importance:
                self._importances = importances_on(trained, sample(self._reported.pieces(PIECE_ROWS), PERMUTED_ROWS))
            self._report(fitted.history)

    def say(self, fitted: Fitted) -> bool:
        """Print a summary; and whether the checkpoint of the run's end could be saved, which is said if not."""
        options, end = self._options, self._end_of(fitted)
        if not options.quiet:
            print()  # after the lines of progress
            rows = self._facts | of_history(self._model, fitted.history)
            print_table("", ["Run", str(options.out)], rows.items(), texts=2)
            pieces: Iterable[tuple[Dataset, Params]] = [(self._reported, self._predictions)]
            if self._reported is not self._evaluated:
                device, threads = options.experiment.train.device, options.threads
                pieces = predicted(self._backend, self._model, fitted.params, self._evaluated, device, threads)
            metrics = evaluation_in_column_units(self._columns, self._model, pieces).metrics()
            print_metrics(f"{self._evaluated_on}, in the columns' own units", metrics)
            print(f"report: {options.out / 'report.html'}")
        if not end.exists():
            expected = "expected the checkpoint of the run's end, which could not be saved; the rest is complete"
            say("error", f"{end}: {expected}")
        return end.exists()

    def write_experiment(self) -> None:
        """Write what the run is resumed with: of a resumed run, what may be other than when it began."""
        write_whole(self._options.out / EXPERIMENT, to_toml(self._options.experiment).encode())

    def _end_of(self, fitted: Fitted) -> Path:
        return checkpoint_path(self._options.out / CHECKPOINTS, len(fitted.history.step_loss))

    def _report(self, history: History) -> None:
        columns, reported, predictions = self._columns, self._reported, self._predictions
        write_report(
            self._options.out,
            title=self._title,
            model=self._model,
            train=self._options.experiment.train,
            history=history,
            labels=in_column_units(columns, reported.labels) if predictions else {},
            predictions=in_column_units(columns, predictions),
            sample_weight=reported.sample_weight if predictions else None,
            task_weight=reported.task_weight if predictions else None,
            group=reported.group if predictions else None,
            classes={task.name: columns.output_names(task) for task in columns.tasks},
            gates=self._gates,
            importances=self._importances,
            evaluated_on=self._reported_on,
            extra=self._facts,
            columns=[HEADER, *map(cells, columns.summary)],
        )
        if self._options.tensorboard:
            write_events(self._options.out, history)


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
        write_model(out, trained)
    except OSError as error:
        kept = f"the end of the run is kept, and --resume writes the model: {end}"
        if not end.exists():
            elsewhere = Path(tempfile.mkdtemp(prefix="trained-"))
            with keeping(f"{out / MODEL} could not be written either: {error.strerror}"):
                write_model(elsewhere, trained)
            kept = f"the trained model is kept: {elsewhere / MODEL}"
        with keeping(kept):
            raise error


def of_history(model: ModelSpec, history: History) -> dict[str, str]:
    """The size of the network, how it was executed and the number of epochs, for the printed summary."""
    best_epoch = "" if history.best_epoch is None else f", the best being {history.best_epoch}"
    several = f", processes or devices: {history.processes}" if history.processes != 1 else ""
    return {
        "Parameters": f"{parameter_count(model):,}",
        "Execution": f"{history.execution} on the {history.device}, threads: {history.threads}{several}",
        "Epochs": f"{len(history.epochs)}{best_epoch}",
    }
