"""Small files like those of Census-Income, and what their arrays are compared by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from shared_bottom.tables import census_income
from shared_bottom.tables.census_income import COLUMNS, NUMERIC, VOCABULARIES, Census
from spec import Dataset, presets

TRAIN, TEST = census_income.OFFICIAL
OFFICIAL_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "census-income"
"""Beside the project's folder, as the files are no part of it."""
MONEY = ("wage_per_hour", "capital_gains", "capital_losses", "dividends_from_stocks")


def row(index: int, **values: str | float) -> str:
    """A line as the files have them: a blank after each comma, the label with a full stop."""
    filled: dict[str, Any] = {name: index + column for column, name in enumerate(NUMERIC)}
    filled |= {name: f"{name} {index % 2}" for name in VOCABULARIES}
    filled |= {"education": "Children", "marital_status": "Divorced", "instance_weight": 1700.09, "income": "- 50000."}
    return ", ".join(str((filled | values)[name]) for name in COLUMNS) + "\n"


def table(rows: int, **values: str | float) -> str:
    return "".join(row(index, **values) for index in range(rows))


Install = Callable[..., Path]


def column(data: Dataset, name: str) -> list[int]:
    assert data.categorical is not None
    return data.categorical[:, list(VOCABULARIES).index(name)].tolist()


def numeric(data: Dataset) -> np.ndarray:
    assert data.numeric is not None
    return data.numeric


def held_out(census: Census) -> Dataset:
    """Both halves, the rows in the order of their first number."""
    halves = (census.validation, census.test)
    joined = Dataset(
        numeric=np.concatenate([numeric(half) for half in halves]),
        categorical=np.concatenate([np.asarray(half.categorical) for half in halves]),
        labels={task: np.concatenate([half.labels[task] for half in halves]) for task in census_income.TASKS},
    )
    return joined.take(np.argsort(numeric(joined)[:, 0]))


def assert_same(one: Census, other: Census) -> None:
    assert one.vocabularies == other.vocabularies
    for part in ("train", "validation", "test"):
        a, b = getattr(one, part), getattr(other, part)
        np.testing.assert_array_equal(a.numeric, b.numeric)
        np.testing.assert_array_equal(a.categorical, b.categorical)
        assert a.labels.keys() == b.labels.keys()
        for task in a.labels:
            np.testing.assert_array_equal(a.labels[task], b.labels[task])


def fits_the_preset(census: Census) -> None:
    model = presets.census_model(census.vocabularies)
    for data in (census.train, census.validation, census.test):
        data.check(model)
        assert numeric(data).dtype == np.float32
        assert np.asarray(data.categorical).dtype == np.int32
        assert {label.dtype for label in data.labels.values()} == {np.dtype(np.float32)}
        assert data.sample_weight is None
