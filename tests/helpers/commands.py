"""What the tests of the command line share: a small table with every kind of task, its experiment, and a way to run."""

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
            TaskSpec(name="region", kind="multiclass", outputs=3),
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
        labels={
            "click": LabelColumn(columns=("click",)),
            "price": LabelColumn(columns=("low", "high"), transform="log1p", standardise=True),
            "region": LabelColumn(columns=("region",)),
        },
        weight="weight",
    ),
)
LABELS = ("click", "low", "high", "region", "weight")


def table(rows, seed=0):
    """Rows with a trend to learn, some numbers and labels missing."""
    draw = np.random.default_rng(seed)
    x, y, colour = draw.normal(size=rows), draw.exponential(2, rows), draw.integers(0, 3, rows)
    low = np.exp(0.5 * x + draw.normal(0, 0.1, rows))
    return pa.table(
        {
            "id": np.arange(rows) + 1000 * seed,
            "x": x,
            "y": pa.array(y, mask=draw.random(rows) < 0.1),
            "colour": np.array(["red", "green", "blue"])[colour],
            "click": pa.array(draw.logistic(size=rows) < x, mask=draw.random(rows) < 0.1),
            "low": low,
            "high": low + y,
            "region": np.array(["north", "south", "east"])[(colour + (x > 0)) % 3],
            "weight": draw.uniform(0.5, 2, rows),
        }
    )


def write(path, content):
    (csv.write_csv if path.suffix == ".csv" else parquet.write_table)(content, path)
    return path


def write_experiment(folder, experiment=EXPERIMENT):
    """The experiment's file and its tables in `folder`."""
    folder.mkdir(exist_ok=True)
    write(folder / "train.csv", table(60))
    write(folder / "test.parquet", table(30, seed=1))
    path = folder / "shop.toml"
    path.write_text(to_toml(experiment))
    return path


def run(*arguments, code=0):
    """Run the command line in this process, and see that it ends with this exit code."""
    with pytest.raises(SystemExit) if code else nullcontext() as caught:
        main([str(argument) for argument in arguments])
    assert not code or caught.value.code == code


def error(capsys, *arguments, code=2):
    """The one line in which a command says what is wrong."""
    capsys.readouterr()
    run(*arguments, code=code)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("error: ").removesuffix("\n")


def fit(file, out, backend, *arguments):
    """Train with what starts fastest."""
    flags = ("--backend", backend, "--train.execution", quickest(backend))
    run("fit", file, "--out", out, *flags, *arguments)
    return out


def without_plots(monkeypatch):
    """The report is written without plots, which would take most of a test's time."""
    monkeypatch.setattr("shared_bottom.reports.report.plots", lambda *_: iter(()))


def contents(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def changed(experiment, **fields):
    """The experiment with other fields of its data."""
    return replace(experiment, data=replace(experiment.data, **fields))
