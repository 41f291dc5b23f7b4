"""What tasks are compared on: real rows, since on random ones there is nothing to share."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared_bottom.tables import census_income
from shared_bottom.tables.rows import fit_columns, read_rows, read_table_experiment
from spec import Dataset, ModelSpec, TrainSpec, presets
from spec.validation import one_line


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Tasks that could be learned alone or together, the rows to learn from, and those that decide."""

    name: str
    rows_from: str
    """For the report."""
    model: ModelSpec
    train: TrainSpec
    data: Dataset
    evaluated: Dataset
    evaluated_on: Literal["test", "validation"]

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be compared."""
        if len(self.model.tasks) < 2:
            raise ValueError(f"model.tasks: expected two tasks or more to share a trunk, got {len(self.model.tasks)}")
        self.data.check(self.model, precision=self.train.precision)
        self.evaluated.check(self.model, precision=self.train.precision)

    def seeds(self, count: int) -> list[TrainSpec]:
        """The training run of each seed, from the spec's own upwards, with all its steps: without early stopping."""
        train = dataclasses.replace(self.train, early_stopping=None)
        return [dataclasses.replace(train, seed=train.seed + i) for i in range(count)]


def read_problem(name: str, data_dir: Path | None) -> Problem:
    """The problem by name or by the path of a TOML file. Raises OSError, or ValueError in one line."""
    return from_file(Path(name)) if data_dir is None else census(data_dir)


def census(folder: Path) -> Problem:
    """Census-Income from its files. Raises OSError, or ValueError for one that is altered."""
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
    """The table that a TOML file describes: its test rows decide if it has some, else its validation rows."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"FILE: expected a file that can be read, got {str(path)!r}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from error
    if "data" not in content:
        raise ValueError(f"{path}: data: expected the table [data], of rows that sharing may help on, got none")
    experiment, folder = read_table_experiment(path), path.parent
    data = experiment.data
    others = data.test or data.validation
    if not others and not data.validation_fraction:
        raise ValueError(f"{path}: data: expected test, validation or validation_fraction, to measure on, got none")
    columns = fit_columns(experiment, folder)
    return Problem(
        name=path.stem,
        rows_from=", ".join(data.train),
        model=columns.model(experiment.model),
        train=experiment.train,
        data=read_rows(columns, folder, data.train, "training"),
        evaluated=read_rows(columns, folder, others)
        if others
        else read_rows(columns, folder, data.train, "validation"),
        evaluated_on="test" if data.test else "validation",
    )
