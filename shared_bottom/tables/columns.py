"""What is learnt from a table's columns: all that is needed to turn a row of a file into the network's inputs, and a
prediction back into the unit of its column.

It is learnt from the training rows alone, by `shared_bottom.tables.rows.fit_columns`. `FittedColumns` is a dataclass
like those of `spec`: `spec.to_json` and `spec.from_json` write and read it without loss, so it can be stored in a file
beside the trained parameters.
"""

import dataclasses
import keyword
from dataclasses import field
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import model_validator
from pydantic.dataclasses import dataclass

from shared_bottom.tables.summary import ColumnSummary
from shared_bottom.tables.values import canonical
from spec.columns import TIME_PARTS
from spec.model import CategoricalFeature, ModelSpec, NetworkSpec
from spec.table import TableSpec
from spec.tasks import TaskSpec
from spec.validation import STRICT, Finite, Many, Positive, Seed, Some

ClassType = Literal["integer", "boolean", "text"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Scale:
    """The mean and the standard deviation of a column's numbers in the training rows, after the transform."""

    mean: Finite
    deviation: Positive
    """√(Σ(x - mean)²/n). It is 1 if all numbers are equal, so that one can divide by it."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FittedColumns:
    """A table's columns, and what was learnt about them from the training rows."""

    data: TableSpec
    tasks: Some[TaskSpec]
    seed: Seed
    """The field `train.seed`. Together with a row's number it decides whether a row of the training files is set aside
    for validation."""
    numeric: dict[str, Scale]
    """By the name of the numeric input: a numeric column, or a part of a time such as visited.year."""
    quantiles: dict[str, Some[Finite]] = field(default_factory=dict)
    """By the name of the numeric column with transform quantile: quantiles of the training rows' numbers, at levels of
    equal distances from 0, the smallest number, to 1, the largest."""
    bins: dict[str, Some[Finite]] = field(default_factory=dict)
    """By the name of the numeric column with bins: their edges, which ascend, after the transform."""
    indicators: Many[str]
    """The numeric inputs of which a value is missing in the training rows, in order. The network has a second input
    for each, which is 1 where the value is missing and 0 elsewhere."""
    vocabularies: dict[str, Many[str]]
    """By the name of the embedding table: the values whose ids are 1, 2, … A hashed column has no vocabulary."""
    classes: dict[str, Many[str]]
    """By the name of the multiclass task: the values of the label, in the order of the classes."""
    class_types: dict[str, ClassType] = field(default_factory=dict)
    """By the name of the multiclass task: the type of the label column, if it is no text."""
    labels: dict[str, Many[Scale]]
    """By the name of the regression task: one scale for each label column."""
    summary: Many[ColumnSummary] = ()
    """What the training rows have in each column, for a reader: the inputs, then the labels."""

    @model_validator(mode="after")
    def _entries_match_the_columns_and_tasks(self) -> "FittedColumns":
        outputs = {
            label: {t.name: t.outputs for t in self.tasks if t.traits.label == label} for label in ("class", "number")
        }
        expected = {
            "numeric": self.data.numeric_inputs,
            "quantiles": [column.name for column in self.data.numeric if column.transform == "quantile"],
            "bins": [column.name for column in self.data.numeric if column.bins is not None],
            "vocabularies": [column.table_name for column in self.data.categorical if column.buckets is None],
            "classes": list(outputs["class"]),
            "labels": list(outputs["number"]),
        }
        for entries, names in expected.items():
            if set(names) != getattr(self, entries).keys():
                raise ValueError(f"{entries}: expected entries for {names}, got {list(getattr(self, entries))}")
        for name, quantiles in self.quantiles.items():
            if any(lower > upper for lower, upper in pairwise(quantiles)):
                raise ValueError(f"quantiles.{name}: expected numbers that do not descend, got {quantiles!s:.100}")
        for name, edges in self.bins.items():
            if any(lower >= upper for lower, upper in pairwise(edges)):
                raise ValueError(f"bins.{name}: expected edges that ascend, got {edges!s:.100}")
        for name in self.indicators:
            if name not in self.numeric:
                raise ValueError(f"indicators: expected numeric inputs among {list(self.numeric)}, got {name!r}")
        for entries, label in (("classes", "class"), ("labels", "number")):
            for name, values in getattr(self, entries).items():
                if len(values) != outputs[label][name]:
                    raise ValueError(f"{entries}.{name}: expected {outputs[label][name]} entries, got {len(values)}")
        return self

    def width(self, name: str) -> int:
        """How many inputs of the network a numeric input becomes, without its indicator.

        A column with bins has one for each that is left. One input is left even of a column whose numbers are all
        equal; like that of such a column without bins, it is 0.
        """
        return max(len(self.bins.get(name, ())) - 1, 1)

    @property
    def numeric_width(self) -> int:
        """How many inputs of the network all numeric inputs become, with their indicators."""
        return sum(map(self.width, self.data.numeric_inputs)) + len(self.indicators)

    def model(self, network: NetworkSpec) -> ModelSpec:
        """The network with the columns as its inputs.

        network: the outputs of its tasks may be left open; they are those of `tasks`.

        The numeric inputs are those of `TableSpec.numeric_inputs`, one for each bin where a column has bins and else
        one, followed by the indicators of missing values. The categorical features are the categorical columns,
        followed by the parts of times that are looked up in a table. Both are in the order of the table's spec.
        Features and embedding tables are called as columns and tables are, made into identifiers.
        """
        features = []
        for column in self.data.categorical:
            values = len(self.vocabularies[column.table_name]) if column.buckets is None else column.buckets
            feature = CategoricalFeature(
                name=identifier(column.name),
                vocabulary=1 + values,
                dimension=column.dimension,
                length=column.length,
                pooling=column.pooling,
                table=None if column.table is None else identifier(column.table),
                trainable=column.trainable,
            )
            features.append(feature)
        for time in self.data.time:
            for name, part in time.categorical_parts.items():
                ids = 1 + (TIME_PARTS[part] or 0)
                features.append(CategoricalFeature(name=identifier(name), vocabulary=ids, dimension=time.dimension))
        network_fields = {field.name: getattr(network, field.name) for field in dataclasses.fields(NetworkSpec)}
        network_fields |= {"tasks": self.tasks}
        return ModelSpec(numeric=self.numeric_width, categorical=tuple(features), **network_fields)

    def prediction_columns(self) -> dict[str, list[str]]:
        """The names of the columns in which a task's predictions are written, by task, in their order.

        A binary task has one, called as the task is; so has a regression task of one output, and one of several has
        one for each, <task>_<label column>, or for each level of quantiles, such as <task>_q0.5. A multiclass task has
        one for the likeliest class, called as the task is, and one for each class's probability, <task>_<class>. What a
        prediction is made of comes last, by the names of `TaskSpec.parts`.

        Raises ValueError if two columns would have one name, as a task a_b and the class b of a task a.
        """
        names: dict[str, list[str]] = {}
        task_of_name: dict[str, str] = {}
        for task in self.tasks:
            outputs = self.output_names(task)
            names[task.name] = [
                *([] if outputs and task.traits.label == "number" else [task.name]),
                *(f"{task.name}_{output}" for output in outputs),
                *task.parts,
            ]
            for name in names[task.name]:
                if name in task_of_name:
                    tasks = " and ".join(dict.fromkeys([task_of_name[name], task.name]))
                    raise ValueError(
                        f"data.labels: expected tasks, label columns, levels and classes that give each column of the "
                        f"predictions a name of its own, got {name!r} twice, of {tasks}"
                    )
                task_of_name[name] = task.name
        return names

    def class_values(self, task_name: str) -> list[str] | list[int] | list[bool]:
        """The classes of a multiclass task in their order, in the type that the label column has."""
        texts = self.classes[task_name]
        match self.class_types.get(task_name, "text"):
            case "integer":
                return [int(text) for text in texts]
            case "boolean":
                return [canonical(text) in ("true", "1") for text in texts]
        return list(texts)

    def output_names(self, task: TaskSpec) -> tuple[str, ...]:
        """What the outputs of a task's prediction are called, in order: its classes, its label columns if they are
        several, or its quantiles, such as q0.5. (): it is a single number.
        """
        if task.objective.quantiles:
            return tuple(f"q{level}" for level in task.objective.quantiles)
        if task.traits.label == "class":
            return self.classes[task.name]
        columns = self.data.labels[task.name].columns
        return columns if len(columns) > 1 else ()

    def restore(self, task_name: str, predictions: np.ndarray) -> np.ndarray:
        """Predictions of a task, or its labels, in the unit of the label column.

        task_name: the task. Only a regression task has a unit: for the other kinds, `predictions` is returned
        unchanged.
        predictions: as `Backend.predict` returns them for this task, or its labels in a `Dataset`: for a regression
        task (N, outputs) or (N, levels of quantiles), or (N,) if it has one output.

        For a regression task the result is float64 in the same shape. A value that is too large for a float64 becomes
        infinite. Raises ValueError if there is no such task.
        """
        if task_name not in self.data.labels:
            raise ValueError(f"task_name: expected one of {', '.join(self.data.labels)}, got {task_name!r}")
        if task_name not in self.labels:
            return predictions
        label, restored = self.data.labels[task_name], np.asarray(predictions, np.float64)
        (loss,) = (task.objective for task in self.tasks if task.name == task_name)
        if label.standardised(loss):
            scales = self.labels[task_name]
            mean = np.array([scale.mean for scale in scales])
            deviation = np.array([scale.deviation for scale in scales])
            restored = restored * deviation + mean
        if label.transform == "log1p":
            with np.errstate(over="ignore"):
                restored = np.expm1(restored)
        return restored


def identifier(name: str) -> str:
    """A column's name made into a Python identifier, as the names of the network's features must be.

    Each character that an identifier cannot have becomes "_", and "_" is put before a digit at the beginning.
    """
    name = "".join(character if f"_{character}".isidentifier() else "_" for character in name)
    # A table may well have columns named `class` or `from`, but a CategoricalFeature takes no Python keyword as a name.
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"_{name}"
