"""The cache of encoded tables: what a small table becomes, so that whoever changes that learns of `VERSION`."""

import json
from hashlib import sha256

import numpy as np
import pytest

from shared_bottom.tables.key import VERSION
from shared_bottom.tables.training import read_table
from spec import CategoricalColumn, LabelColumn, NumericColumn, TimeColumn
from tests.helpers.table_files import COLUMNS, experiment, write

TABLE = {name: values * 4 for name, values in COLUMNS.items()} | {
    "shop": ["north", "007", "", "süd", "north", "12"] * 4,
    "tags": ["red|blue", "", "green", "red", "blue|red|green", None] * 4,
    "when": ["2024-01-05T17:30:00", "2023-12-31", None, "2024-02-29", "1969-07-20", "2024-01-05"] * 4,
    "depth": [1.0, 2.0, None, 3.0, None, 2.0] * 4,
    "size": [0.5, 8.0, 2.0, 4.0, None, 1.0] * 4,
}
"""COLUMNS four times over, and besides texts to hash, lists, times, and numbers that become shares or bins."""

EXPECTED = {
    "learnt": "b840fc0dc0dc494e",
    "training.numeric": "31416f40525ecea9",
    "training.categorical": "24c77264e9d427b1",
    "training.sample_weight": "cd88404d88d77dcc",
    "training.labels.click": "90a8dce9c0b034cc",
    "training.labels.spend": "8b460eabbd5a73b2",
    "training.labels.plan": "877d2f4ea925f40a",
    "validation.numeric": "6f329f5c4b89c77f",
    "validation.categorical": "286d099e03846051",
    "validation.sample_weight": "b576bd01ead2ce8f",
    "validation.labels.click": "916dec45d517c5e3",
    "validation.labels.spend": "2958e692b45878c6",
    "validation.labels.plan": "93f3fb9fb19f82b0",
}
"""The first digits of the SHA-256 of each array, and of what was learnt."""


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_same_rows_are_encoded_as_the_version_says(tmp_path, ending):
    """Numbers are rounded, so that the last bits of a sum do not count."""
    write(tmp_path, f"train.{ending}", TABLE)
    spec = experiment(
        (f"train.{ending}",),
        seed=3,
        validation_fraction=0.25,
        numeric=(
            NumericColumn(name="age"),
            NumericColumn(name="paid", transform="log1p"),
            NumericColumn(name="depth", standardise=False),
            NumericColumn(name="floor", transform="quantile", distribution="uniform", standardise=False),
            NumericColumn(name="size", bins=3),
        ),
        categorical=(
            CategoricalColumn(name="city", minimum_count=4),
            CategoricalColumn(name="shop", encoding="hash", buckets=50),
            CategoricalColumn(name="tags", length=2, separator="|"),
        ),
        time=(TimeColumn(name="when", parts=("year", "month", "weekday", "hour", "elapsed_days")),),
        labels={
            "click": LabelColumn(columns=("click",)),
            "spend": LabelColumn(columns=("spend",), transform="log1p", standardise=True),
            "plan": LabelColumn(columns=("plan",)),
        },
    )
    columns, *parts = read_table(spec, tmp_path)
    learnt = [columns.vocabularies, columns.classes, columns.class_types, columns.indicators]
    scales = {name: [scale] for name, scale in columns.numeric.items()} | columns.labels
    learnt += [[name, round(scale.mean, 6), round(scale.deviation, 6)] for name in scales for scale in scales[name]]
    contents = {"learnt": json.dumps(learnt).encode()}
    for part, rows in zip(("training", "validation"), parts, strict=True):
        for name, array in rows.arrays.items():
            numbers = np.round(array.astype("<f8"), 6) + 0.0  # no -0.0
            contents[f"{part}.{name}"] = f"{array.dtype.name} {array.shape} ".encode() + numbers.tobytes()
    digests = {name: sha256(content).hexdigest()[:16] for name, content in contents.items()}
    assert (VERSION, digests) == (1, EXPECTED), (
        "rows are encoded otherwise than before: increase VERSION in shared_bottom/tables/key.py, so that no row in a "
        "cache is taken for one that is encoded the new way, and write the new version and digests here"
    )
