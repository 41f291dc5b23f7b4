"""An earlier network and the rows of the day after: what the tests of a run that starts from another one share."""

from dataclasses import replace
from pathlib import Path

from shared_bottom.start import take_over
from shared_bottom.tables.embeddings import given_values, starting_params
from shared_bottom.tables.rows import fit_columns, read_rows
from shared_bottom.trained import Trained
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
    initial_params,
)
from tests.helpers.plain import plain_layers

MONDAY = {
    "x": [0.5, 1.5, -2.0, 4.0, 0.0, 3.0],
    "y": [1.0, 10.0, None, 3.0, 0.0, 7.0],
    "z": [9.0, 1.0, 4.0, 4.0, 6.0, 2.0],
    "w": [3.0, 2.0, 4.0, 1.0, 0.0, 5.0],
    "city": ["Rome", "Oslo", "Rome", None, "Bern", "Oslo"],
    "item": ["pen", "cup", "hat", "pen", "cup", "pen"],
    "before": [["pen"], ["hat", "cup"], [], ["hat"], ["pen", "cup"], ["cup"]],
    "campaign": ["a", "b", "c", "d", "e", "f"],
    "seen": ["2024-01-05T17:30:00", "2023-12-31", "2024-02-29", "2024-01-01", "2023-11-20", "2024-01-06"],
    "click": [1, 0, 1, 0, 0, 1],
    "spend": [19.5, 2.0, 4.0, 1.25, 6.0, 80.0],
    "plan": ["b", "a", "c", "a", "b", "c"],
}
TUESDAY = MONDAY | {
    "x": [50.0, 61.0, 72.0, 83.0, 94.0, 55.0],
    "z": [9.0, None, 4.0, 4.0, 6.0, 2.0],
    "city": ["Oslo", "Aarhus", "Aarhus", "Zug", "Oslo", "Aarhus"],
    "item": ["cup", "bag", "hat", "bag", "cup", "cup"],
    "before": [["ink"], ["hat", "cup"], [], ["hat"], ["bag", "cup"], ["cup"]],
    "spend": [900.0, 12.0, 500.0, 33.0, 44.0, 99.0],
}
"""Other numbers, cities and items; some of Monday's cities and items do not occur."""
TASKS = (
    TaskSpec(name="click", kind="binary", hidden=(3,)),
    TaskSpec(name="spend", kind="regression"),
    TaskSpec(name="plan", kind="multiclass"),
)
LABELS = {task.name: LabelColumn(columns=(task.name,)) for task in TASKS}
CITY = CategoricalColumn(name="city", dimension=2)
BEFORE = CategoricalColumn(name="before", dimension=3, table="item", length=2, pooling="sum")
DATA = TableSpec(
    numeric=(
        NumericColumn(name="x"),
        NumericColumn(name="y", transform="quantile"),
        NumericColumn(name="z", bins=2),
    ),
    categorical=(
        CITY,
        CategoricalColumn(name="item", dimension=3),
        BEFORE,
        CategoricalColumn(name="campaign", dimension=2, encoding="hash", buckets=4),
    ),
    time=(TimeColumn(name="seen", parts=("elapsed_days", "weekday"), dimension=2),),
    labels=LABELS,
)
EXPERIMENT = TableExperiment(
    model=NetworkSpec(trunk=(5, 4), tasks=TASKS, activation="tanh", normalization="layer"),
    train=TrainSpec(seed=1, batch_size=2, epochs=1, device="cpu", execution="eager"),
    data=DATA,
)


def changed(*, data=None, model=None, train=None):
    """The experiment with other values of some fields."""
    return TableExperiment(
        model=replace(EXPERIMENT.model, **(model or {})),
        train=replace(EXPERIMENT.train, **(train or {})),
        data=replace(EXPERIMENT.data, **(data or {})),
    )


def untrained(experiment, rows=MONDAY, seed=5):
    """A network of the experiment, as if training had left it with the initial parameters of another seed."""
    columns = fit_columns(experiment, rows)
    model = columns.model(experiment.model)
    return Trained(columns=columns, model=model, params=initial_params(model, seed=seed), device="cpu", threads=1)


def started(earlier, experiment, rows=TUESDAY):
    """A network before its first step, which starts from an earlier one; its parameters if it did not; the `Start`."""
    given = given_values(experiment.data, Path())
    columns = fit_columns(experiment, rows, given, earlier.columns)
    model = columns.model(experiment.model)
    fresh = starting_params(columns, model, experiment.train, Path())
    start = take_over(earlier, columns, model, {name: value.copy() for name, value in fresh.items()}, given)
    return Trained(columns=columns, model=model, params=start.params, device="cpu", threads=1), fresh, start


def logits(trained, rows=MONDAY):
    """What comes out of the heads for rows, by task."""
    layers = plain_layers(trained.model, trained.params, read_rows(trained.columns, rows, labels=False))
    return {task.name: layers[f"tasks.{task.name}.{len(task.hidden)}"] for task in trained.model.tasks}


def state(start, name):
    """What became of a layer or a table: the state, and what is taken over, new and left out."""
    (part,) = (part for part in start.parts if part.name == name)
    return part.state, dict(part.taken), dict(part.new), dict(part.left_out)
