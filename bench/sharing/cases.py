"""The tasks and rows that are compared. The rows are real, because tasks on random rows have nothing to share."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared_bottom.tables import census_income
from shared_bottom.tables.embeddings import starting_params
from shared_bottom.tables.rows import fit_columns, has_table, read_rows, read_table_experiment
from spec import Dataset, ModelSpec, TrainSpec, initial_params, presets
from spec.params import Params
from spec.sharing import WAYS, Sharing


def default_start(model: ModelSpec, train: TrainSpec) -> Params:
    """The initial parameters of the seed."""
    return initial_params(model, seed=train.seed, precision=train.precision)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Tasks that can be learned alone or together, the rows to train on, and the rows to evaluate on."""

    name: str
    rows_from: str
    """Where the rows come from, in words for the report."""
    model: ModelSpec
    train: TrainSpec
    data: Dataset
    evaluated: Dataset
    evaluated_on: Literal["test", "validation"]
    start: Callable[[ModelSpec, TrainSpec], Params] = default_start
    """The parameters that a network, with all tasks or with one, starts from."""

    def __post_init__(self) -> None:
        """Raises ValueError if there is only one task, or if the rows do not fit the model."""
        if len(self.model.tasks) < 2:
            raise ValueError(f"model.tasks: expected two tasks or more to share a trunk, got {len(self.model.tasks)}")
        self.data.check(self.model, precision=self.train.precision)
        self.evaluated.check(self.model, precision=self.train.precision)

    def models(self, kinds: Sequence[str]) -> dict[str, ModelSpec]:
        """The network with each way of sharing, by its kind. kinds: none stand for the model's own way.

        Raises ValueError if the tasks do not suit a way.
        """
        ways: list[Sharing] = [*(way() for way in WAYS), self.model.sharing]
        by_kind = {str(way.kind): way for way in ways}
        kinds = kinds or [self.model.sharing.kind]
        return {kind: dataclasses.replace(self.model, sharing=by_kind[kind]) for kind in kinds}

    def seeds(self, count: int) -> list[TrainSpec]:
        """The TrainSpec of each seed, beginning with the seed of the spec. Early stopping is left out, so that all runs
        have the same number of steps.
        """
        train = dataclasses.replace(self.train, early_stopping=None)
        return [dataclasses.replace(train, seed=train.seed + i) for i in range(count)]


def read_problem(name: str, data_dir: Path | None) -> Problem:
    """The problem by its name or by the path of a TOML file. Raises OSError, or a ValueError of one line."""
    return from_file(Path(name)) if data_dir is None else census(data_dir)


def census(folder: Path) -> Problem:
    """Census-Income from its files. Raises OSError, or ValueError if a file differs from the official one."""
    rows = census_income.load(folder)
    return Problem(
        name="census",
        rows_from=f"Census-Income in {folder}",
        model=presets.census_model(rows.vocabularies),
        train=presets.census_training(),
        data=rows.train,
        evaluated=rows.test,
        evaluated_on="test",
    )


def from_file(path: Path) -> Problem:
    """The table that a TOML file describes. It is evaluated on the test rows, or without any on the validation rows."""
    try:
        with_table = has_table(path)
    except OSError as error:
        raise ValueError(f"FILE: expected a file that can be read, got {str(path)!r}: {error.strerror}") from error
    if not with_table:
        raise ValueError(f"{path}: data: expected the table [data], of rows that sharing may help on, got none")
    experiment, folder = read_table_experiment(path), path.parent
    data = experiment.data
    evaluation_files = data.test or data.validation
    if not evaluation_files and not data.validation_fraction:
        raise ValueError(f"{path}: data: expected test, validation or validation_fraction, to measure on, got none")
    columns = fit_columns(experiment, folder)
    return Problem(
        name=path.stem,
        rows_from=", ".join(data.train),
        model=columns.model(experiment.model),
        train=experiment.train,
        data=read_rows(columns, folder, data.train, "training"),
        evaluated=read_rows(columns, folder, evaluation_files)
        if evaluation_files
        else read_rows(columns, folder, data.train, "validation"),
        evaluated_on="test" if data.test else "validation",
        start=lambda model, train: starting_params(columns, model, train, folder),
    )
