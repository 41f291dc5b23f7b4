"""Small tables written as CSV or Parquet, and the experiments that read them."""

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from shared_bottom.tables.blocks import Block
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
"""Six rows with every kind of input column and of label, and with missing values."""

TASKS = (
    TaskSpec(name="click", kind="binary"),
    TaskSpec(name="spend", kind="regression"),
    TaskSpec(name="plan", kind="multiclass", outputs=3),
)


def write(folder, name, columns=COLUMNS, *, header=True):
    """Write a small table into a file.

    folder: the folder to write into.
    name: the name of the file. Its ending decides the format: .parquet, .gz for compressed CSV, anything else for CSV.
    columns: the values of each column, None for a missing one.
    header: whether a CSV file begins with the names of the columns.
    """
    path = folder / name
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
        return
    cells = (["" if value is None else value for value in values] for values in columns.values())
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        rows = csv.writer(file)
        if header:
            rows.writerow(columns)
        rows.writerows(zip(*cells, strict=True))


def experiment(train=("train.csv",), *, tasks=TASKS, seed=0, **data):
    """An experiment that uses all of COLUMNS.

    train: the names of the training files.
    tasks: the tasks of the network.
    seed: the seed of training, which decides the rows that are set aside for validation.
    data: other values of fields of the TableSpec.
    """
    defaults = {
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
    return TableExperiment(model=network, train=TrainSpec(seed=seed), data=TableSpec(train=train, **(defaults | data)))


def simple(train=("train.csv",), *, kind="binary", outputs=1, label=None, inputs="x", **data):
    """An experiment with few columns, and one task with the name y.

    train: the names of the training files.
    kind, outputs: the kind of the task and its number of outputs.
    label: the label of the task; if None, the column y.
    inputs: "x" for the numeric column x, or else a tuple of categorical columns.
    data: other values of fields of the TableSpec.
    """
    columns = {"numeric": (NumericColumn(name="x"),)} if inputs == "x" else {"categorical": inputs}
    task = TaskSpec(name="y", kind=kind, outputs=outputs)
    labels = {"y": label or LabelColumn(columns=("y",))}
    return experiment(
        train,
        tasks=(task,),
        **({"numeric": (), "categorical": (), "weight": None} | columns | {"labels": labels} | data),
    )


def block_of(array, **data):
    """A block whose only column, c, is a pyarrow array. data: fields of the TableSpec."""
    table = replace(simple(inputs=(CategoricalColumn(name="c"),)).data, **data)
    rows = np.arange(1, len(array) + 1)
    return Block(path=Path("rows.parquet"), row_numbers=rows, columns={"c": array}, data=table)


def texts_of(column, **data):
    """The canonical text of each row of a block's column c, or of a pyarrow array; None where it is missing."""
    texts = (column if isinstance(column, Block) else block_of(column, **data)).texts("c")
    return [None if code < 0 else texts.values[code] for code in texts.codes.tolist()]


def encoded(folder, spec, subset="all"):
    """What is learnt from the training files of the experiment `spec`, and a subset of their rows, encoded."""
    columns = fit_columns(spec, folder)
    return columns, read_rows(columns, folder, spec.data.train, subset)


def with_data(spec, **data):
    """The experiment `spec` with other values of some fields of its TableSpec."""
    return replace(spec, data=replace(spec.data, **data))


def assert_equal(one, other):
    """Assert that two data sets have the same rows, bit for bit."""
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


def arrays(data):
    """All arrays of a data set; None for one that it does not have."""
    return [data.numeric, data.categorical, data.sample_weight, *data.labels.values()]
