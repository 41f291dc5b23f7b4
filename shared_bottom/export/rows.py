"""An ONNX file that is asked with single rows or a few, as a program that serves it does."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetPydanticSchema, ValidationError, create_model
from pydantic_core import PydanticCustomError, core_schema

from shared_bottom.export.packages import needing
from shared_bottom.tables.values import bucket, canonical
from spec.validation import one_line

Text = Annotated[
    str | bool | int | Annotated[float, Field(allow_inf_nan=False)] | None,
    GetPydanticSchema(  # one error, instead of one for each type of the union
        lambda source, handler: core_schema.custom_error_schema(
            handler(source),
            custom_error_type="text",
            custom_error_message="Input should be a text, a finite number or a boolean",
        )
    ),
]
"""A value of a category as JSON has it."""
DESCRIPTION = {"inputs", "outputs", "versions"}
"""The entries of the metadata that are read."""
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
"""How a time begins."""
BEGINNING = datetime(1970, 1, 1)
NO_TIME = int(np.iinfo(np.int64).min)


class Row(BaseModel):
    """A row, whose columns are the aliases of the fields, since a column may have any name."""

    model_config = ConfigDict(extra="forbid")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((field.alias, getattr(self, name)) for name, field in type(self).model_fields.items())


class ExportedModel:
    """A file that `export_onnx` wrote, computed by ONNX Runtime.

    path: the file.
    threads: how many of the processor's threads compute.

    Raises ImportError if onnxruntime is not installed, OSError if the file cannot be read, and ValueError, in one line,
    for another file.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        with needing("onnxruntime"):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # what ONNX Runtime raises it need not print
        try:
            content = Path(path).read_bytes()
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"], enable_fallback=False
            )
            properties = self._session.get_modelmeta().custom_metadata_map
        except OSError as error:
            raise OSError(error.errno, f"expected an ONNX file, got: {error.strerror}", str(path)) from error
        except Exception as error:  # those of ONNX Runtime have no class in common
            raise ValueError(f"{path}: expected an ONNX file, got: {one_line(error)}") from error
        try:
            self.metadata: dict[str, Any] = {name: json.loads(properties[name]) for name in sorted(DESCRIPTION)}
            """What the file says of its inputs and outputs, and which versions wrote it."""
            self._names = [output["name"] for output in self.metadata["outputs"]]
            self._fields = {f"input_{place}": entry for place, entry in enumerate(self.metadata["inputs"])}
            fields: dict[str, Any] = {field: _field(entry) for field, entry in self._fields.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected a file that export wrote, got one without its metadata") from error
        self.row: type[Row] = create_model("Row", __base__=Row, **fields)
        """What checks a row: a class of pydantic with a field for each input, called as that is; None is missing."""

    def predict(self, rows: Sequence[BaseModel | dict[str, Any]]) -> list[dict[str, Any]]:
        """The predictions for rows, by the names of the columns that `predict` writes; None for what is not finite.

        rows: dicts, or objects of the class `row`, as which dicts are checked.

        Raises ValueError, which names the row, counted from 1, and the column, where a value is wrong.
        """
        if isinstance(rows, Mapping | BaseModel):
            raise ValueError(f"rows: expected a list of rows, got {rows!r:.200}")
        checked = [self._checked(row, place) for place, row in enumerate(rows, 1)]
        inputs = {}
        for field, entry in self._fields.items():
            arrays = _array_of_lists if entry["several"] else _array
            inputs[entry["name"]] = arrays(entry, [getattr(row, field) for row in checked])
        outputs = [map(_finite, array.tolist()) for array in self._session.run(self._names, inputs)]
        return [dict(zip(self._names, values, strict=True)) for values in zip(*outputs, strict=True)]

    def _checked(self, row: Any, place: int) -> Row:
        try:
            return self.row.model_validate(row)
        except ValidationError as error:
            raise ValueError(f"row {place}: {one_line(error)}") from error


def _field(entry: dict[str, Any]) -> Any:
    """What a row may have for an input, which the metadata describes."""
    number = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=entry["above"])] | None
    time = Annotated[datetime | None, BeforeValidator(_time)]
    one: Any = {"number": number, "text": Text, "bucket": Text, "time": time}[entry["kind"]]
    value: Any = list[one] | None if entry["several"] else one
    return Annotated[value, Field(alias=entry["name"], description=entry["description"])], ...


def _time(value: Any) -> Any:
    """Without numbers, also those in texts, which pydantic would count from 1970."""
    if value is None or isinstance(value, date) or (isinstance(value, str) and DATE.match(value)):
        return value
    raise PydanticCustomError("time", "Input should be a time in ISO 8601 such as 2024-01-05 or 2024-01-05T17:30:00")


def _array(entry: dict[str, Any], values: Sequence[Any], none: int = 0) -> np.ndarray:
    """An input for some rows. none: the bucket where there is no value."""

    def spelled(value: Text) -> str:
        return entry["none"] if value is None else canonical(str(value))

    def hashed(value: Text) -> int:
        missing = value is None or spelled(value) in entry["missing"]
        return none if missing else bucket(spelled(value), entry["buckets"])

    converted: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "number": (lambda value: math.nan if value is None else value, np.float64),
        "text": (spelled, object),
        "time": (_microseconds, np.int64),
        "bucket": (hashed, np.int64),
    }
    convert, dtype = converted[entry["kind"]]
    return np.array([convert(value) for value in values], dtype)


def _array_of_lists(entry: dict[str, Any], lists: Sequence[Sequence[Any] | None]) -> np.ndarray:
    """An input that has several values in a row: padded, place by place, with at least one place."""
    places = itertools.zip_longest(*(values or () for values in lists), (None,))
    return np.stack([_array(entry, values, none=-1)[:-1] for values in places], axis=1)


def _microseconds(time: datetime | None) -> int:
    """A time as it is written, in whatever zone."""
    return NO_TIME if time is None else (time.replace(tzinfo=None) - BEGINNING) // timedelta(microseconds=1)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
