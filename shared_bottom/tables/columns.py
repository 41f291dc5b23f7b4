"""What is learnt of a table's columns: all that turns a file's row into the network's inputs, and a prediction back.

The training rows alone decide it; `shared_bottom.tables.rows.fit_columns` makes it. It is a spec like the others:
`to_json` and `from_json` of `spec` write and read it without a loss, so that it can lie beside the trained parameters.
"""

import dataclasses
import functools
import keyword
import re
import zlib

import numpy as np
from pydantic import model_validator
from pydantic.dataclasses import dataclass

from spec.model import CategoricalFeature, ModelSpec, NetworkSpec, TaskSpec
from spec.random import MASK, mix
from spec.table import TableSpec
from spec.validation import STRICT, Finite, Many, Positive, Seed, Some

WHOLE = re.compile(r"(-?\d+)\.0+", re.ASCII)
BOOLEANS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scale:
    """A column's numbers in the training rows, after the transform."""

    mean: Finite
    deviation: Positive
    """√(Σ(x - mean)²/n); 1 if they are all the same, so that it can be divided by."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FittedColumns:
    """A table's columns and what the training rows taught of them."""

    data: TableSpec
    tasks: Some[TaskSpec]
    seed: Seed
    """`train.seed`: with a row's number it decides which training rows are set aside for validation."""
    numeric: dict[str, Scale]
    """By numeric column."""
    indicators: Many[str]
    """The numeric columns with a second input of 0 and 1, in order: where the training rows have one missing."""
    vocabularies: dict[str, Many[str]]
    """By categorical column (none for a hashed one): the values with the ids 1, 2, …"""
    classes: dict[str, Many[str]]
    """By multiclass task: the values in the order of the classes."""
    labels: dict[str, Many[Scale]]
    """By regression task: that of each label column."""

    @model_validator(mode="after")
    def _of_the_columns(self) -> "FittedColumns":
        outputs = {
            label: {t.name: t.outputs for t in self.tasks if t.traits.label == label} for label in ("class", "number")
        }
        expected = {
            "numeric": [column.name for column in self.data.numeric],
            "vocabularies": [column.name for column in self.data.categorical if column.buckets is None],
            "classes": list(outputs["class"]),
            "labels": list(outputs["number"]),
        }
        for field, names in expected.items():
            if set(names) != getattr(self, field).keys():
                raise ValueError(f"{field}: expected entries for {names}, got {list(getattr(self, field))}")
        for name in self.indicators:
            if name not in self.numeric:
                raise ValueError(f"indicators: expected numeric columns among {list(self.numeric)}, got {name!r}")
        for field, label in (("classes", "class"), ("labels", "number")):
            for name, values in getattr(self, field).items():
                if len(values) != outputs[label][name]:
                    raise ValueError(f"{field}.{name}: expected {outputs[label][name]} entries, got {len(values)}")
        return self

    def model(self, network: NetworkSpec) -> ModelSpec:
        """`network` with the columns as its inputs: the numeric ones, their indicators, then the categorical ones."""
        features = []
        for column in self.data.categorical:
            values = len(self.vocabularies.get(column.name, ())) if column.buckets is None else column.buckets
            features.append(
                CategoricalFeature(name=identifier(column.name), vocabulary=1 + values, dimension=column.dimension)
            )
        fields = {field.name: getattr(network, field.name) for field in dataclasses.fields(NetworkSpec)}
        width = len(self.data.numeric) + len(self.indicators)
        return ModelSpec(numeric=width, categorical=tuple(features), **fields)

    def restore(self, task_name: str, predictions: np.ndarray) -> np.ndarray:
        """A task's predictions in the label column's own unit: float64 (N, outputs), or (N,) for one output.

        What `backend.predict` gives for a binary or multiclass task is returned as it is. Raises ValueError for an
        unknown task.
        """
        if task_name not in self.data.labels:
            raise ValueError(f"task_name: expected one of {', '.join(self.data.labels)}, got {task_name!r}")
        if task_name not in self.labels:
            return predictions
        label, restored = self.data.labels[task_name], np.asarray(predictions, np.float64)
        if label.standardise:
            scales = self.labels[task_name]
            mean, deviation = (np.array([getattr(scale, part) for scale in scales]) for part in ("mean", "deviation"))
            restored = restored * deviation + mean
        if label.transform == "log1p":
            with np.errstate(over="ignore"):  # what is too large for a float64 is infinite
                restored = np.expm1(restored)
        return restored


def identifier(name: str) -> str:
    """A column's name as a Python identifier: _ for each character that cannot be in one, and before a digit."""
    name = "".join(character if f"_{character}".isidentifier() else "_" for character in name)
    # CategoricalFeature takes no keyword, such as `class` and `from`, which tables do have.
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"_{name}"


@functools.lru_cache(maxsize=2**16)
def canonical(value: str) -> str:
    """The text that a categorical value is compared by: 3, "3" and 3.0 are one value, and so are true and "True".

    An integer column with a missing value is often written as one of floats, and the same value must keep its id.
    """
    value = value.strip()
    whole = WHOLE.fullmatch(value) if value.endswith("0") else None
    return whole[1] if whole else BOOLEANS.get(value, value)


def bucket(value: str, buckets: int) -> int:
    """The id of a hashed column's value, in [1, buckets]: CRC-32 of its UTF-8, mixed. The same for ever, anywhere."""
    return mix(zlib.crc32(value.encode()) & MASK) % buckets + 1
