"""Random experiments on tables in memory, with columns of every kind: `experiments()`, and the rows of `rows_of`."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from spec import (
    CategoricalColumn,
    LabelColumn,
    NetworkSpec,
    NumericColumn,
    TableExperiment,
    TableSpec,
    TimeColumn,
    TrainSpec,
)
from spec.columns import TIME_PARTS
from spec.table import MISSING
from tests.helpers import strategies

NUMBERS = ("gauss", "count", "amount", "constant")
CATEGORIES = ("city", "code", "truth", "ratio", "day", "count")
LISTS = ("tags", "codes")
TIMES = ("seen", "born")
CLASSES = ("city", "code", "truth")
"""A column of each type that a class can have. Labels are copies of them."""


def rows_of(experiment, rows, seed, spread=1.0):
    """A table with all columns, and with the labels of the experiment.

    spread: above 1, there are values that fewer or no rows have with 1.
    """
    draw = np.random.default_rng(seed)

    def some(values, share=0.1):
        return pa.array(values, mask=draw.random(rows) < share)

    def lists(values):
        lengths = draw.integers(0, 6, rows)
        elements = pa.array(draw.choice(values, lengths.sum()))
        lists = pa.ListArray.from_arrays(np.append(0, np.cumsum(lengths)), elements).to_pylist()
        return pa.array([None if draw.random() < 0.1 else [*row, None] if row else row for row in lists])

    kinds = int(6 * spread)
    cities = np.array(["Rome", "Oslo", " Bern", "?", "São Paulo", "東京", "True", "", "-", "x y"])[:kinds]
    minutes = draw.integers(-60 * 365 * 24 * 60, 60 * 365 * 24 * 60, rows)
    table = {
        "gauss": some(draw.normal(0, 1e3 * spread, rows)),
        "count": some(draw.choice([0, 1, 2, 3, 5, -999], rows)),
        "amount": some(draw.lognormal(0, 2 * spread, rows)),
        "constant": np.full(rows, 7.5),
        "city": some(draw.choice(cities, rows)),
        "code": some(draw.integers(-1, kinds, rows)),
        "truth": some(draw.random(rows) < 0.5),
        "ratio": some(draw.integers(0, kinds, rows) / 2),
        "day": some(np.datetime64("2024-02-27") + draw.integers(0, kinds, rows)),
        "tags": lists(cities),
        "codes": lists(np.arange(kinds)),
        "seen": some(np.datetime64("1970-01-01T00:00:00") + 60 * minutes),
        "born": some((np.datetime64("1970-01-01T00:00:00") + 60 * minutes).astype("M8[D]")),
    }
    table |= {f"label {name}": table[name] for name in CLASSES}
    for task in experiment.model.tasks:
        if task.traits.label == "truth":
            table[f"label {task.name}"] = draw.random(rows) < 0.5
        elif task.traits.label == "number":
            for column in experiment.data.labels[task.name].columns:
                table[column] = draw.lognormal(0, 1, rows)
    return pa.table(table)


def missing_texts(*others):
    return st.none() | st.just((*MISSING, *others))


def numeric_columns(name):
    transforms = st.sampled_from(["none", "quantile"] if name in ("gauss", "count") else ["none", "log1p", "quantile"])
    return transforms.flatmap(
        lambda transform: st.builds(
            NumericColumn,
            name=st.just(name),
            transform=st.just(transform),
            distribution=st.sampled_from(["normal", "uniform"] if transform == "quantile" else ["normal"]),
            standardise=st.booleans(),
            bins=st.none() | st.integers(2, 5),
            missing=missing_texts("-999", "?"),
        )
    )


def categorical_columns(name):
    length = st.integers(2, 4) if name in LISTS else st.just(1)
    hashed = st.booleans()
    return st.tuples(length, hashed, st.integers(1, 3)).flatmap(
        lambda drawn: st.builds(
            CategoricalColumn,
            name=st.just(name),
            dimension=st.just(2) if drawn[1] else st.integers(1, 3),
            length=st.just(drawn[0]),
            pooling=st.sampled_from(["mean", "sum", "max"] if drawn[0] > 1 else ["mean"]),
            keep=st.sampled_from(["first", "last"] if drawn[0] > 1 else ["last"]),
            table=st.just("hashed") if drawn[1] else st.none() | st.just(f"of {drawn[2]}"),
            encoding=st.just("hash" if drawn[1] else "vocabulary"),
            buckets=st.just(7 if drawn[1] else None),
            missing=missing_texts("?", "3", "true", "2024-02-28"),
        )
    )


def time_columns(name):
    parts = st.lists(st.sampled_from(sorted(TIME_PARTS)), min_size=1, unique=True)
    return st.builds(
        TimeColumn, name=st.just(name), parts=parts, dimension=st.integers(1, 3), missing=missing_texts("2000-02-29")
    )


def some_of(names, columns):
    return st.lists(st.sampled_from(names), max_size=3, unique=True).flatmap(
        lambda chosen: st.tuples(*map(columns, chosen))
    )


def agreeing(columns):
    """The columns, those of one table with the dimension of its first."""
    first = {column.table_name: column for column in reversed(columns)}
    return tuple(replace(column, dimension=first[column.table_name].dimension) for column in columns)


def label_column(task):
    """A label for a task among the columns of `rows_of`."""
    if task.traits.label == "class":
        return LabelColumn(columns=("label city",))
    if task.traits.label == "truth":
        return LabelColumn(columns=(f"label {task.name}",))
    return LabelColumn(columns=tuple(f"label {task.name} {place}" for place in range(task.outputs)))


def labels_of(tasks):
    """A label for each task; those of regression may be transformed."""

    def label(task):
        if task.traits.label == "class":
            return st.sampled_from(CLASSES).map(lambda name: LabelColumn(columns=(f"label {name}",)))
        if task.traits.label == "truth":
            return st.just(label_column(task))
        transforms = ["none"] if task.objective.non_negative else ["none", "log1p"]
        return st.builds(
            LabelColumn,
            columns=st.just(label_column(task).columns),
            transform=st.sampled_from(transforms),
            standardise=st.none() if task.objective.non_negative else st.none() | st.booleans(),
        )

    return st.fixed_dictionaries({task.name: label(task) for task in tasks})


def experiments():
    """Experiments whose rows `rows_of` makes."""
    tasks = strategies.several(strategies.tasks_with_losses).flatmap(strategies.some_given)
    open_tasks = tasks.map(
        lambda drawn: [replace(t, outputs=1, loss=None) if t.traits.label == "class" else t for t in drawn]
    )
    networks = open_tasks.flatmap(
        lambda drawn: st.builds(
            NetworkSpec,
            trunk=st.lists(st.integers(1, 8), min_size=1, max_size=3),
            tasks=st.just(drawn),
            sharing=strategies.sharings,
            activation=st.sampled_from(["relu", "gelu", "silu", "tanh"]),
            normalization=st.sampled_from(["none", "layer"]),
        )
    )
    tables = networks.flatmap(
        lambda network: st.fixed_dictionaries(
            {
                "numeric": some_of(NUMBERS, numeric_columns),
                "categorical": some_of((*CATEGORIES, *LISTS), categorical_columns).map(agreeing),
                "time": some_of(TIMES, time_columns),
                "labels": labels_of(network.tasks),
            }
        )
        .filter(lambda fields: fields["numeric"] or fields["categorical"] or fields["time"])
        .map(lambda fields: (network, TableSpec(**fields)))
    )
    train = st.builds(TrainSpec, precision=st.sampled_from(["float32", "float64"]), device=st.just("cpu"))
    return st.tuples(tables, train).map(lambda d: TableExperiment(model=d[0][0], data=d[0][1], train=d[1]))
