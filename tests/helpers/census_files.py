"""Small files in the format of Census-Income, and functions that compare the arrays made of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shared_bottom.tables.census_files import OFFICIAL
from shared_bottom.tables.census_income import COLUMNS, NUMERIC, TASKS, VOCABULARIES, Census
from spec import Dataset, presets

TRAIN, TEST = OFFICIAL
OFFICIAL_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "census-income"
"""Beside the project's folder, because the files are not part of the project."""
MONEY = ("wage_per_hour", "capital_gains", "capital_losses", "dividends_from_stocks")

Install = Callable[..., Path]
"""The type of the fixture `install`, which writes two texts as if they were the official files."""


def row(index: int, **values: str | float) -> str:
    """A line as in the official files, which have a blank after each comma and a full stop after the income.

    index: decides the numbers and the categorical values.
    values: the values of columns that are to differ from these.
    """
    defaults: dict[str, Any] = {name: index + column for column, name in enumerate(NUMERIC)}
    defaults |= {name: f"{name} {index % 2}" for name in VOCABULARIES}
    defaults |= {"education": "Children", "marital_status": "Divorced"}
    defaults |= {"instance_weight": 1700.09, "income": "- 50000."}
    return ", ".join(str((defaults | values)[name]) for name in COLUMNS) + "\n"


def table(rows: int, **values: str | float) -> str:
    """A file of so many lines, made by `row`."""
    return "".join(row(index, **values) for index in range(rows))


def column(data: Dataset, name: str) -> list[int]:
    """The ids of a categorical column."""
    assert data.categorical is not None
    return data.categorical[:, list(VOCABULARIES).index(name)].tolist()


def numeric(data: Dataset) -> np.ndarray:
    """The numeric array, which must be there."""
    assert data.numeric is not None
    return data.numeric


def held_out(census: Census) -> Dataset:
    """The rows of validation and test set together, sorted by their first number."""
    halves = (census.validation, census.test)
    joined = Dataset(
        numeric=np.concatenate([numeric(half) for half in halves]),
        categorical=np.concatenate([np.asarray(half.categorical) for half in halves]),
        labels={task: np.concatenate([half.labels[task] for half in halves]) for task in TASKS},
    )
    return joined.take(np.argsort(numeric(joined)[:, 0]))


def assert_same(one: Census, other: Census) -> None:
    """Asserts that two have exactly the same rows, in the same order."""
    assert one.vocabularies == other.vocabularies
    for set_name in ("train", "validation", "test"):
        a, b = getattr(one, set_name), getattr(other, set_name)
        np.testing.assert_array_equal(a.numeric, b.numeric)
        np.testing.assert_array_equal(a.categorical, b.categorical)
        assert a.labels.keys() == b.labels.keys()
        for task in a.labels:
            np.testing.assert_array_equal(a.labels[task], b.labels[task])


def assert_fits_the_preset(census: Census) -> None:
    """Asserts that the rows fit `presets.census_model`, and that the arrays have the types of the protocol."""
    model = presets.census_model(census.vocabularies)
    for data in (census.train, census.validation, census.test):
        data.check(model)
        assert numeric(data).dtype == np.float32
        assert np.asarray(data.categorical).dtype == np.int32
        assert {label.dtype for label in data.labels.values()} == {np.dtype(np.float32)}
        assert data.sample_weight is None
