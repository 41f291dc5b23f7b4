"""What the tests of the command line share: a small table with labels of every kind, an experiment, and ways to run."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from shared_bottom.cli import main
from spec import (
    CategoricalColumn,
    LabelColumn,
    NetworkSpec,
    NumericColumn,
    TableExperiment,
    TableSpec,
    TaskSpec,
    TimeColumn,
    TrainSpec,
    to_toml,
)
from tests.helpers.runs import quickest

EXPERIMENT = TableExperiment(
    model=NetworkSpec(
        trunk=(6,),
        tasks=(
            TaskSpec(name="click", kind="binary"),
            TaskSpec(name="price", kind="regression", outputs=2, weight=0.5),
            TaskSpec(name="region", kind="multiclass"),
        ),
        activation="tanh",
    ),
    train=TrainSpec(batch_size=8, epochs=2, seed=1, device="cpu"),
    data=TableSpec(
        train=("train.csv",),
        test=("test.parquet",),
        validation_fraction=0.25,
        numeric=(NumericColumn(name="x"), NumericColumn(name="y", transform="log1p")),
        categorical=(CategoricalColumn(name="colour", dimension=2),),
        time=(TimeColumn(name="seen", parts=("elapsed_days", "weekday"), dimension=2),),
        labels={
            "click": LabelColumn(columns=("click",)),
            "price": LabelColumn(columns=("low", "high"), transform="log1p", standardise=True),
            "region": LabelColumn(columns=("region",)),
        },
        weight="weight",
    ),
)
LABELS = ("click", "low", "high", "region", "weight")
"""The columns that predicting does not need."""


def table(rows, seed=0):
    """A table of random rows whose labels depend on the inputs. Some numbers and some labels are missing.

    rows: the number of rows.
    seed: decides the random numbers, and in which thousand the ids begin.
    """
    generator = np.random.default_rng(seed)
    x, y, colour = generator.normal(size=rows), generator.exponential(2, rows), generator.integers(0, 3, rows)
    low = np.exp(0.5 * x + generator.normal(0, 0.1, rows))
    return pa.table(
        {
            "id": np.arange(rows) + 1000 * seed,
            "x": x,
            "y": pa.array(y, mask=generator.random(rows) < 0.1),
            "colour": np.array(["red", "green", "blue"])[colour],
            "click": pa.array(generator.logistic(size=rows) < x, mask=generator.random(rows) < 0.1),
            "low": low,
            "high": low + y,
            "region": np.array(["north", "south", "east"])[(colour + (x > 0)) % 3],
            "weight": generator.uniform(0.5, 2, rows),
            "seen": np.datetime64("2024-01-05T17:30:00") + np.arange(rows) * np.timedelta64(35, "h"),
        }
    )


def write(path, content):
    """Write a pyarrow table as CSV if the path ends in .csv, else as Parquet."""
    (csv.write_csv if path.suffix == ".csv" else parquet.write_table)(content, path)
    return path


def write_experiment(folder, experiment=EXPERIMENT):
    """Write the TOML file of an experiment and its two tables into `folder`, and return the path of the TOML file."""
    folder.mkdir(exist_ok=True)
    write(folder / "train.csv", table(60))
    write(folder / "test.parquet", table(30, seed=1))
    path = folder / "shop.toml"
    path.write_text(to_toml(experiment))
    return path


def run(*arguments, code=0):
    """Run the command line in this process, and assert that it ends with the exit code `code`."""
    with pytest.raises(SystemExit) if code else nullcontext() as caught:
        main([str(argument) for argument in arguments])
    assert not code or caught.value.code == code


def error(capsys, *arguments, code=2):
    """Run a command that must fail, assert that it prints one line on standard error only, and return its message."""
    capsys.readouterr()
    run(*arguments, code=code)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("error: ").removesuffix("\n")


def fit(file, out, backend, *arguments):
    """Run the command fit with the execution that takes the least time to start, and return the folder of the run."""
    flags = ("--backend", backend, "--train.execution", quickest(backend))
    run("fit", file, "--out", out, *flags, *arguments)
    return out


def without_plots(monkeypatch):
    """Make the report be written without plots, because they would take most of a test's time."""
    monkeypatch.setattr("shared_bottom.reports.report.plots", lambda *_: iter(()))


def contents(folder):
    """The sorted names of the files and folders in a folder."""
    return sorted(path.name for path in Path(folder).iterdir())


def changed(experiment, **fields):
    """The experiment with other values of some fields of its `data`."""
    return replace(experiment, data=replace(experiment.data, **fields))
