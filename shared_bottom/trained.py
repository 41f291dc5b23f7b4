"""A trained network together with the columns of its table: the short way from rows to predictions."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.looked_up import Embedding, values_of_rows
from shared_bottom.tables.rows import encoded_batches
from shared_bottom.tables.sources import Rows, source_of
from shared_bottom.tables.tally import Tally, warn_of_unknown
from spec.backend import backend_names, load_backend
from spec.data import Dataset
from spec.model import ModelSpec
from spec.params import Params, parameter_count
from spec.predictor import Predictor
from spec.results import History
from spec.training import Device

if TYPE_CHECKING:
    from backends.base import SharedBackend
    from shared_bottom.run.metrics import Evaluation
    from shared_bottom.tables.encoding import Encoder


@dataclass(frozen=True, kw_only=True, repr=False)
class Trained:
    """A trained network, and how the columns of a table become its inputs and its outputs become predictions.

    Its network is built when it first predicts, and kept. `dataclasses.replace` gives another one that predicts with
    another backend, on another device, or files that are written otherwise.
    """

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

    def __repr__(self) -> str:
        """In one line, since all parameters and vocabularies would be thousands of them."""
        tasks = ", ".join(task.name for task in self.model.tasks)
        return f"Trained(tasks {tasks}; {parameter_count(self.model):,} parameters; backend {self.backend})"

    @property
    def spec(self) -> ModelSpec:
        """The network's description: `model` by the name of its package."""
        return self.model

    @cached_property
    def predictor(self) -> Predictor:
        """What predicts rows that are encoded already, such as `read_rows` returns."""
        backend = choose_backend(self.backend)
        return backend.predictor(self.model, self.params, device=self.device, threads=self.threads)

    @cached_property
    def network(self) -> Any:
        """The network as the backend's native object, a torch.nn.Module or a flax.nnx.Module: see `spec.Backend.build`.

        It is a copy: to change it does not change how this predicts. `from_network` takes it back.
        """
        return choose_backend(self.backend).build(self.model, self.params, device=self.device)

    def from_network(self, network: Any) -> "Trained":
        """The same with the parameters that a native object has now: `network`, or another one of this model.

        Raises ValueError for one of another backend or another network.
        """
        return replace(self, params=choose_backend(self.backend).params_of(self.model, network), history=None)

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

        tally = Tally()
        predictions = (self.predictor.predict(batch) for batch in self._encoded(rows, tally))
        tables = [pa.table(prediction_arrays(self.columns, batch)) for batch in predictions]
        warn_of_unknown(tally, self.columns)
        return pa.concat_tables(tables)

    def trunk_outputs(self, rows: Rows) -> Params:
        """What the heads take: see `spec.Predictor.trunk_outputs`. Rows, errors and warnings are as for `predict`."""
        tally = Tally()
        batches = [self.predictor.trunk_outputs(batch) for batch in self._encoded(rows, tally)]
        warn_of_unknown(tally, self.columns)
        return {task: np.concatenate([batch[task] for batch in batches]) for task in batches[0]}

    def embedding(self, name: str) -> Embedding:
        """The table in which a categorical input is looked up: what its rows stand for, and the rows, as in `params`.

        name: a categorical column, such as country, or a part of a time, such as visited.hour.

        Raises ValueError if there is no such input.
        """
        values = values_of_rows(self.columns)
        if name not in values:
            raise ValueError(f"name: expected one of {', '.join(values) or 'none'}, got {name!r}")
        features = dict(zip(values, self.model.categorical, strict=True))
        return Embedding(values[name], self.params[features[name].parameter])

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

        batches = self._encoded(rows, tally, labels=True)
        predicted = ((batch, self.predictor.predict(batch.inputs)) for batch in batches)
        return evaluation_in_column_units(self.columns, self.model, predicted)

    @cached_property
    def _encoder(self) -> "Encoder":
        from shared_bottom.tables.encoding import Encoder

        return Encoder(self.columns)

    def _encoded(self, rows: Rows, tally: Tally, labels: bool = False) -> Iterator[Dataset]:
        return encoded_batches(self._encoder, source_of(rows), labels=labels, tally=tally)

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and copy take: the fields, without what was built from them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


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
