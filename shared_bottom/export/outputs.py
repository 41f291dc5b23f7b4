"""The outputs of an exported graph: the columns that the command `predict` writes."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shared_bottom.tables.columns import ClassType, FittedColumns
from spec.tasks import TaskSpec

CLASS_TYPES: dict[ClassType, str] = {"integer": "int64", "boolean": "bool", "text": "string"}


@dataclass(frozen=True, kw_only=True)
class Output:
    """An output of the graph, (rows,)."""

    name: str
    task: str
    type: str
    """That of its tensor, as ONNX calls it."""
    description: str

    @property
    def shape(self) -> tuple[str, ...]:
        """The name of its axis, which may be of any length."""
        return ("rows",)

    def metadata(self) -> dict[str, Any]:
        """All of this, for JSON."""
        return asdict(self) | {"shape": self.shape}


def outputs_of(columns: FittedColumns, dtype: np.dtype) -> list[Output]:
    """The outputs of the graph, in order.

    dtype: that of the parameters, and of what has no unit.

    Raises ValueError as `FittedColumns.prediction_columns` does.
    """
    network, outputs = "double" if dtype == np.float64 else "float", []
    for task in columns.tasks:
        names = columns.prediction_columns()[task.name]
        for place, (name, description) in enumerate(zip(names, _descriptions(columns, task), strict=True)):
            output_type = network
            if task.traits.label == "class" and place == 0:
                output_type = CLASS_TYPES[columns.class_types.get(task.name, "text")]
            elif task.traits.label == "number" and name not in task.parts:
                output_type = "double"
            outputs.append(Output(name=name, task=task.name, type=output_type, description=description))
    return outputs


def _descriptions(columns: FittedColumns, task: TaskSpec) -> list[str]:
    """What each of a task's outputs is."""
    label, names = columns.data.labels[task.name], columns.output_names(task)
    if task.traits.label == "class":
        described = [f"the likeliest value of {label.columns[0]!r}"]
        described += [f"the probability that {label.columns[0]!r} is {value!r}" for value in names]
    elif task.objective.quantiles:
        described = [f"the quantile {level} of {label.columns[0]!r}" for level in task.objective.quantiles]
    elif task.traits.label == "number":
        described = [f"{column!r} as predicted" for column in label.columns]
    else:
        described = [f"the probability that {label.columns[0]!r} is {label.positive or 'true'}"]
    return described + [part.replace("_", " ") for part in task.parts]
