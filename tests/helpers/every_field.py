"""A table and an experiment with every way to describe a column."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spec import CategoricalColumn, LabelColumn, NumericColumn, TimeColumn
from spec.columns import TIME_PARTS
from tests.helpers import cli
from tests.helpers.table_files import with_data

EXPERIMENT = with_data(
    cli.EXPERIMENT,
    numeric=(
        NumericColumn(name="x", transform="quantile", bins=4, missing=("", "?")),
        NumericColumn(name="y", transform="log1p"),
        NumericColumn(name="id", transform="quantile", distribution="uniform", standardise=False),
    ),
    categorical=(
        CategoricalColumn(name="colour", dimension=2, missing=("", "?")),
        CategoricalColumn(
            name="tags", dimension=2, length=3, separator="|", keep="first", pooling="max", table="colour"
        ),
        CategoricalColumn(name="id", dimension=3, length=2, separator=" ", encoding="hash", buckets=5),
    ),
    time=(TimeColumn(name="when", parts=tuple(TIME_PARTS), dimension=2),),
    group="id",
    labels=cli.EXPERIMENT.data.labels
    | {"click": replace(cli.EXPERIMENT.data.labels["click"], weight="weight", missing=("", "unknown"))}
    | {"region": LabelColumn(columns=("region",), classes=("south", "east", "north"))},
)


def table(rows, seed=0):
    """The table of `tests.helpers.cli`, with times and with texts of several colours."""
    draw, colours = np.random.default_rng([seed, 1]), ["red", "green", "blue", "", "mauve"]
    tags = ["|".join(draw.choice(colours, draw.integers(0, 6))) for _ in range(rows)]
    when = np.datetime64("2024-02-28T12:00:00") + draw.integers(0, 10**7, rows)
    columns = {"tags": pa.array(tags), "when": pa.array(when, mask=draw.random(rows) < 0.1)}
    content = cli.table(rows, seed)
    for name, column in columns.items():
        content = content.append_column(name, column)
    return content


def with_lists(content):
    """The table with lists in place of texts that are divided, as Parquet can have them."""
    lists = pc.split_pattern(content.column("tags"), pattern="|")
    return content.set_column(content.column_names.index("tags"), "tags", lists)
