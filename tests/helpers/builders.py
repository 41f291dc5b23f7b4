"""Small specs for tests that need one, and the words in which a bad one is rejected."""

from typing import get_args

import pytest

from spec import (
    CategoricalColumn,
    CategoricalFeature,
    EarlyStopping,
    Experiment,
    LabelColumn,
    ModelSpec,
    NetworkSpec,
    NumericColumn,
    Schedule,
    TableExperiment,
    TableSpec,
    TaskSpec,
    TrainSpec,
)
from spec.balancing import Balancing
from spec.validation import one_line
from tests.helpers.strategies import OPTIMIZERS

NETWORK = [ModelSpec, NetworkSpec, TaskSpec, CategoricalFeature]
TABLE = [TableExperiment, TableSpec, NumericColumn, CategoricalColumn, LabelColumn]
CLASSES = [*NETWORK, *TABLE, TrainSpec, Schedule, EarlyStopping, Experiment, *OPTIMIZERS, *get_args(Balancing)]
"""Every class of the spec that a user writes down."""


def task(**fields):
    return TaskSpec(**({"name": "a", "kind": "regression"} | fields))


def feature(**fields):
    return CategoricalFeature(**({"name": "colour", "vocabulary": 3, "dimension": 2} | fields))


def model(**fields):
    return ModelSpec(**({"numeric": 2, "trunk": (4,), "tasks": (task(),)} | fields))


def rejection(build, *args, **fields):
    """The one line that tells the user what is wrong."""
    with pytest.raises(ValueError, match=r".") as caught:
        build(*args, **fields)
    line = one_line(caught.value)
    assert len(line.splitlines()) == 1
    return line


def tasks_of(kind, count):
    outputs = 1 if kind == "binary" else 3
    return tuple(TaskSpec(name=f"t{i}", kind=kind, outputs=outputs) for i in range(count))
