"""What is timed: a network, a training run, rows."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets import census_income
from spec import Dataset, ModelSpec, TrainSpec, presets, read_experiment

WIDE_STEPS, WIDE_EPOCHS = 4, 8
FILE_STEPS = 32
"""Steps an epoch on the random rows of a TOML file."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case of the bench."""

    name: str
    rows_from: str
    """Where the rows come from, for the report."""
    model: ModelSpec
    train: TrainSpec
    data: Dataset
    test: Dataset | None = None
    """Rows for a last evaluation."""


def tutorial() -> Case:
    """10 inputs, trunk 64-32-16, two regression heads, batches of 32: 320 steps."""
    return Case(
        name="tutorial",
        rows_from="1,000 rows of standard-normal numbers",
        model=presets.tutorial_model(),
        train=presets.tutorial_training(),
        data=presets.tutorial_data(),
    )


def census(data_dir: Path | None) -> Case:
    """Census-Income: the real rows of `data_dir`, or synthetic ones of the same columns and vocabularies."""
    census = census_income.load(data_dir) if data_dir else census_income.synthetic(200_000)
    return Case(
        name="census",
        rows_from=f"Census-Income in {data_dir}" if data_dir else "synthetic rows like Census-Income's",
        model=presets.census_model(census.vocabularies),
        train=presets.census_training(),
        data=census.train,
        test=census.test,
    )


def wide() -> Case:
    """512 inputs, trunk 1024-512-256, two heads of 128, batches of 4,096: matrix products and little else."""
    train = dataclasses.replace(presets.wide_training(), epochs=WIDE_EPOCHS)
    data = presets.random_data(presets.wide_model(), WIDE_STEPS * train.batch_size)
    return Case(
        name="wide",
        rows_from=f"{data.rows:,} rows of standard-normal numbers",
        model=presets.wide_model(),
        train=train,
        data=data,
    )


def from_file(path: Path) -> Case:
    """The experiment of a TOML file, on random rows that fit it. Raises OSError or ValueError."""
    experiment = read_experiment(path)
    data = presets.random_data(experiment.model, FILE_STEPS * experiment.train.batch_size, seed=experiment.train.seed)
    return Case(
        name=path.stem,
        rows_from=f"{data.rows:,} random rows",
        model=experiment.model,
        train=dataclasses.replace(experiment.train, epochs=max(2, experiment.train.epochs)),  # one cold, one warm
        data=data,
    )


def load_case(name: str, data_dir: Path | None) -> Case:
    """A case by name or by the path of a TOML file. Raises OSError or ValueError."""
    check_case(name, data_dir)
    if name == "census":
        return census(data_dir)
    return CASES[name]() if name in CASES else from_file(Path(name))


def check_case(name: str, data_dir: Path | None) -> None:
    """Raises ValueError, naming the option, if there is no such case or no such folder."""
    if name not in (*CASES, "census") and not name.endswith(".toml"):
        raise ValueError(f"--case: expected one of {', '.join((*CASES, 'census'))} or a FILE.toml, got {name!r}")
    if data_dir is not None and name != "census":
        raise ValueError(f"--data-dir: expected none with --case {name}, only census reads it, got {str(data_dir)!r}")
    if data_dir is not None and not data_dir.is_dir():
        raise ValueError(f"--data-dir: expected a folder, got {str(data_dir)!r}")


CASES: dict[str, Callable[[], Case]] = {"tutorial": tutorial, "wide": wide}
