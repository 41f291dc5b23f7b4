"""Small tables written as CSV or Parquet, and the experiments that read them."""

import csv
import gzip
from dataclasses import replace

import pyarrow as pa
from pyarrow import parquet

from shared_bottom.tables.rows import fit_columns, read_rows
from spec import (
    CategoricalColumn,
    LabelColumn,
    NetworkSpec,
    NumericColumn,
    TableExperiment,
    TableSpec,
    TaskSpec,
    TrainSpec,
)

COLUMNS = {
    "age": [31.0, None, 58.0, 44.5, 23.0, 39.0],
    "paid": [0.0, 10.0, 250.0, 3.5, 0.0, 7.25],
    "city": ["Rome", "Oslo", "Rome", None, "Bern", "Oslo"],
    "floor": [3, 1, 3, 2, None, 1],
    "click": [1, 0, 1, None, 0, 0],
    "spend": [19.5, None, 4.0, 1.25, None, 80.0],
    "plan": ["b", "a", "c", "a", "b", "c"],
    "weight": [1.0, 2.0, 0.5, 1.0, 0.0, 3.0],
}
"""Six rows, of every kind of column and of label."""

TASKS = (
    TaskSpec(name="click", kind="binary"),
    TaskSpec(name="spend", kind="regression"),
    TaskSpec(name="plan", kind="multiclass", outputs=3),
)


def write(folder, name, columns=COLUMNS, *, header=True):
    """Write `columns` into the file `name`, in the format that it says."""
    path = folder / name
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
        return
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        rows = csv.writer(file)
        if header:
            rows.writerow(columns)
        rows.writerows(zip(*(["" if v is None else v for v in values] for values in columns.values()), strict=True))


def experiment(train=("train.csv",), *, tasks=TASKS, seed=0, **data):
    """One that uses all of COLUMNS; `data` replaces fields of its TableSpec."""
    own = {
        "numeric": (NumericColumn(name="age"), NumericColumn(name="paid", transform="log1p")),
        "categorical": (CategoricalColumn(name="city", dimension=2), CategoricalColumn(name="floor", dimension=3)),
        "labels": {
            "click": LabelColumn(columns=("click",)),
            "spend": LabelColumn(columns=("spend",), transform="log1p", standardise=True),
            "plan": LabelColumn(columns=("plan",)),
        },
        "weight": "weight",
    }
    network = NetworkSpec(trunk=(4,), tasks=tasks)
    return TableExperiment(model=network, train=TrainSpec(seed=seed), data=TableSpec(train=train, **(own | data)))


def simple(train=("train.csv",), *, kind="binary", outputs=1, label=None, inputs="x", **data):
    """One with the numeric or categorical column x, and a task y of the column y."""
    column = {"numeric": (NumericColumn(name="x"),)} if inputs == "x" else {"categorical": inputs}
    task = TaskSpec(name="y", kind=kind, outputs=outputs)
    labels = {"y": label or LabelColumn(columns=("y",))}
    return experiment(
        train,
        tasks=(task,),
        **({"numeric": (), "categorical": (), "weight": None} | column | {"labels": labels} | data),
    )


def encoded(folder, spec, part="all"):
    """What is fitted on an experiment's training files, and their rows."""
    columns = fit_columns(spec, folder)
    return columns, read_rows(columns, folder, spec.data.train, part)


def with_data(spec, **data):
    return replace(spec, data=replace(spec.data, **data))


def assert_equal(one, other):
    """The same rows, bit for bit."""
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def arrays(data):
    return [data.numeric, data.categorical, data.sample_weight, *data.labels.values()]
