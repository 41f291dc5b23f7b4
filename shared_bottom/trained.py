"""A trained network together with the columns of its table: the short way from rows to predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.paths import Name
from shared_bottom.tables.rows import stream_rows
from shared_bottom.tables.sources import Rows, source_of
from shared_bottom.tables.tally import Tally, warn_of_unknown
from spec.backend import Backend, OnEpoch, ProgressMode, backend_names, load_backend
from spec.data import Dataset
from spec.model import ModelSpec
from spec.params import Params
from spec.results import History
from spec.table import TableExperiment
from spec.training import Device

if TYPE_CHECKING:
    from backends.base import SharedBackend
    from shared_bottom.run.metrics import Evaluation


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network, and how the columns of a table become its inputs and its outputs become predictions."""

    columns: FittedColumns
    model: ModelSpec
    params: Params
    """The trained parameters by name, as `spec.params` describes them."""
    backend: str | None = None
    """The backend that predicts, which need not be the one that trained; None: the first that is installed."""
    device: Device = "auto"
    """Where to predict."""
    threads: int | None = None
    """The processor's threads that predict, as for `spec.Backend.fit`."""
    history: History | None = None
    """How the training went, if it was in this process."""

    def predict(self, rows: Rows) -> Any:
        """The predictions for rows, in their order, as a pyarrow.Table: the columns that the command predict writes.

        rows: files or a table in memory (see `shared_bottom.tables.sources.Rows`), with the columns of the inputs.
        Files are read as `columns.data` says that they are written. If these are written otherwise, replace its fields:
        with `data = replace(trained.columns.data, delimiter=";")`, where `replace` is that of `dataclasses`, ask
        `replace(trained, columns=replace(trained.columns, data=data))`.

        Which columns a task has, `FittedColumns.prediction_columns` says. Raises ValueError, in one line, if a file or
        the table has something wrong or has no rows. A DataWarning names the columns of which far more values are
        unknown than usual.
        """
        import pyarrow as pa

        from shared_bottom.predictions import prediction_arrays

        backend, tally = choose_backend(self.backend), Tally()
        batches = stream_rows(self.columns, rows, tally=tally)
        predictions = (self.predict_encoded(backend, batch) for batch in batches)
        table = pa.concat_tables(pa.table(prediction_arrays(self.columns, batch)) for batch in predictions)
        warn_of_unknown(tally, self.columns)
        return table

    def evaluate(self, rows: Rows) -> dict[str, dict[str, float]]:
        """The metrics by task and name, those of regression tasks in the units of their label columns.

        rows: as for `predict`, with the columns of the labels, the weight and the groups too.

        Raises ValueError and warns as `predict` does; also of labels that are no class of their task, which do not
        count. A metric that is not defined on these rows is NaN, with a warning.
        """
        tally = Tally()
        evaluation = self.evaluation(rows, tally)
        warn_of_unknown(tally, self.columns)
        return evaluation.metrics()

    def evaluation(self, rows: Rows, tally: Tally) -> "Evaluation":
        """The metrics, and how many rows they are of. The rows are read, predicted and evaluated a batch at a time.

        rows: as for `evaluate`.
        tally: counts the values that training never had.
        """
        from shared_bottom.predictions import evaluation_in_column_units

        backend = choose_backend(self.backend)
        batches = stream_rows(self.columns, rows, labels=True, tally=tally)
        predicted = ((batch, self.predict_encoded(backend, batch)) for batch in batches)
        return evaluation_in_column_units(self.columns, self.model, predicted)

    def predict_encoded(self, backend: Backend, rows: Dataset) -> Params:
        """The network's predictions for a block of rows, by task, as `Backend.predict` returns them.

        backend: the backend that computes them.
        rows: the block, encoded. Labels and weights are not used.
        """
        inputs = Dataset(numeric=rows.numeric, categorical=rows.categorical)
        return backend.predict(self.model, self.params, inputs, device=self.device, threads=self.threads)


def fit_table(
    experiment: TableExperiment,
    rows: Rows,
    *,
    backend: str | None = None,
    validation: Rows | None = None,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    keep: int = 3,
    resume: bool = False,
    threads: int | None = None,
    timeout: float = 300.0,
    progress: ProgressMode = "auto",
    on_epoch: OnEpoch | None = None,
    cache: Name | None = None,
    start_from: Trained | None = None,
) -> Trained:
    """Learn the columns of a table and train the network of an experiment on its rows.

    experiment: the columns, the network and the training.
    rows: the training rows: files or a table in memory (see `shared_bottom.tables.sources.Rows`), whatever files the
    experiment names. The share `validation_fraction` of them is set aside for validation. Only the files of given
    embeddings are read besides, and their paths are relative to the working folder.
    backend: the backend that trains, such as "jax"; None: the first that is installed.
    validation: rows for validation, if not a share of `rows`.
    checkpoint, save_every, keep, resume, threads, timeout, progress, on_epoch: as for `spec.Backend.fit`.
    cache: as for `read_table`: a folder in which the encoded rows of files are kept, and read from; None: memory.
    start_from: a trained network whose vocabularies, scales and parameters this run starts from, as far as they mean
    the same in it: see `shared_bottom.tables.inherited` and `shared_bottom.start`. The optimizer starts anew.

    Nothing is written but checkpoints and the cache; `write_trained` saves the result. Raises ValueError, in one line,
    if the experiment or the rows have something wrong, ImportError if the backend's framework is not installed, and
    DivergenceError as `spec.Backend.fit` does.
    """
    from shared_bottom.start import take_over
    from shared_bottom.tables.embeddings import given_values, starting_params
    from shared_bottom.tables.training import read_table

    chosen, earlier = choose_backend(backend), start_from.columns if start_from else None
    given = given_values(experiment.data, Path())
    columns, training, validation_rows = read_table(
        experiment, source_of(rows), validation, given, cache=cache, earlier=earlier
    )
    model = columns.model(experiment.model)
    params = starting_params(columns, model, experiment.train, Path())
    if start_from is not None:
        params = take_over(start_from, columns, model, params, given).params
    fitted = chosen.fit(
        model,
        experiment.train,
        training,
        validation_rows,
        params,
        checkpoint=checkpoint,
        save_every=save_every,
        keep=keep,
        resume=resume,
        threads=threads,
        timeout=timeout,
        progress=progress,
        on_epoch=on_epoch,
    )
    return Trained(
        columns=columns,
        model=model,
        params=fitted.params,
        backend=chosen.name,
        device=experiment.train.device,
        threads=threads,
        history=fitted.history,
    )


def choose_backend(name: str | None) -> "SharedBackend":
    """The backend with this name or, if it is None, the first backend whose framework is installed.

    Raises ValueError if there is no such backend, and ImportError if its framework, or that of any backend, is not
    installed.
    """
    import_errors = []
    for candidate in backend_names() if name is None else [name]:
        try:
            return cast("SharedBackend", load_backend(candidate))
        except ImportError as error:
            import_errors.append(str(error))
    raise ImportError("; ".join(import_errors))
