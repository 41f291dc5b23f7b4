"""What the tests of the cache of encoded tables share: tables to encode, and what to compare."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from shared_bottom.tables import encoded
from shared_bottom.tables.cache import entries
from spec import Dataset, LabelColumn, TimeColumn
from tests.helpers.table_files import COLUMNS, assert_equal, experiment, with_data, write


@pytest.fixture
def folder(tmp_path):
    """That of the entries."""
    return tmp_path / "kept"


@pytest.fixture
def large(tmp_path):
    """An experiment on two files of several blocks each."""
    return large_table(tmp_path)


@pytest.fixture
def small(tmp_path):
    """An experiment on a small file."""
    return small_table(tmp_path)


def large_table(folder):
    """Writes an experiment's two files of several blocks each, with every kind of input, label and weight.

    Returns the experiment.
    """
    draw = np.random.default_rng(3)
    for name in ("a.csv", "b.parquet"):
        table = {key: [values[i] for i in draw.integers(0, 6, 2000)] for key, values in COLUMNS.items()}
        when = np.datetime64("2024-01-05") + draw.integers(0, 900, 2000)
        write(folder, name, table | {"when": [str(day) for day in when], "importance": draw.uniform(size=2000)})
    spec = experiment(
        ("a.csv", "b.parquet"),
        memory_mb=1,
        validation_fraction=0.3,
        seed=5,
        time=(TimeColumn(name="when", parts=("weekday", "year")),),
    )
    return with_data(spec, labels=spec.data.labels | {"click": LabelColumn(columns=("click",), weight="importance")})


def small_table(folder):
    """Writes an experiment's one file. Returns the experiment."""
    write(folder, "train.csv")
    return experiment()


def names(folder):
    """The names of the entries."""
    return {entry.path.name for entry in entries(folder)}


def assert_same(one, other):
    """Assert that what `read_table` returned is the same twice."""
    for rows, expected in zip(one, other, strict=True):
        if not isinstance(expected, Dataset):
            assert rows == expected
        else:
            assert_equal(rows, expected)
            assert rows.task_weight.keys() == expected.task_weight.keys()
            for task, weight in expected.task_weight.items():
                assert rows.task_weight[task].tobytes() == weight.tobytes()


def no_reading(monkeypatch):
    """Fail where a table's rows are read."""
    monkeypatch.setattr(encoded, "encode_table", lambda *_: pytest.fail("the table was read"))


def of_another_user(monkeypatch, entry):
    """Make an entry one that nobody but its user can read or remove, for root too."""

    def refusing(method):
        def call(path, *arguments, **options):
            if path.is_relative_to(entry):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return method(path, *arguments, **options)

        return call

    for name in ("iterdir", "read_text", "rename"):
        monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))
