"""Serves an exported network over HTTP: one ONNX file, and nothing of the project that wrote it.

python -m shared_bottom export runs/clicks --out clicks.onnx
python examples/serve.py clicks.onnx --port 8000

Needs onnxruntime, fastapi and uvicorn. POST /predict takes a row as a JSON object, /predict_rows a list of them.
"""

import argparse
import json
import math
import zlib
from datetime import datetime, timedelta
from typing import Annotated, Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, create_model

MOST_ROWS = 10_000
"""Most rows of one request."""
Text = str | bool | int | Annotated[float, Field(allow_inf_nan=False)] | None


def text(value: Text) -> str:
    """A value of a category as the file takes it."""
    if value is None:
        return ""
    if isinstance(value, bool) or value in ("True", "False"):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def bucket(value: Text, buckets: int, missing: list[str], none: int) -> int:
    """The bucket of a value of a hashed column, as the file's metadata says."""
    if text(value) in ("", *missing):
        return none
    x = zlib.crc32(text(value).encode()) & 0x7FFFFFFF
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & 0x7FFFFFFF
    x = ((x ^ (x >> 15)) * 0x735A2D97) & 0x7FFFFFFF
    return (x ^ (x >> 15)) % buckets + 1


def microseconds(time: datetime | None) -> int:
    """A time as it is written, in whatever zone."""
    beginning = datetime(1970, 1, 1)
    return -(2**63) if time is None else (time.replace(tzinfo=None) - beginning) // timedelta(microseconds=1)


def field_of(entry: dict[str, Any]) -> Any:
    """What a request may have for an input of the file: null is a missing value."""
    number = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=entry["above"])] | None
    one = {"number": number, "text": Text, "bucket": Text, "time": datetime | None}[entry["kind"]]
    kind = list[one] | None if entry["several"] else one  # type: ignore[valid-type]
    return Annotated[kind, Field(alias=entry["name"], description=entry["description"])], ...


def array_of(entry: dict[str, Any], values: list[Any]) -> np.ndarray:
    """An input of the file for some rows."""
    if entry["several"]:
        longest = max(1, *(len(row or ()) for row in values))
        values = [[*(row or ()), *[None] * (longest - len(row or ()))] for row in values]
        return np.array([array_of(entry | {"several": False, "none": -1}, row) for row in values])
    if entry["kind"] == "number":
        return np.array([math.nan if value is None else value for value in values], np.float64)
    if entry["kind"] == "text":
        return np.array([text(value) for value in values], object)
    if entry["kind"] == "time":
        return np.array([microseconds(value) for value in values], np.int64)
    return np.array([bucket(v, entry["buckets"], entry["missing"], entry.get("none", 0)) for v in values], np.int64)


def app_of(path: str) -> FastAPI:
    """The application that serves a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    metadata = {name: json.loads(properties[name]) for name in ("inputs", "outputs", "versions")}
    fields = {f"input_{place}": field_of(entry) for place, entry in enumerate(metadata["inputs"])}
    Row: Any = create_model("Row", __config__=ConfigDict(extra="forbid"), **fields)  # noqa: N806
    names = [entry["name"] for entry in metadata["outputs"]]
    app = FastAPI(title="Predictions", description=f"From {path}")

    def computed(rows: list[BaseModel]) -> list[dict[str, Any]]:
        columns = zip(fields, metadata["inputs"], strict=True)
        inputs = {entry["name"]: array_of(entry, [getattr(row, field) for row in rows]) for field, entry in columns}
        outputs = [array.tolist() for array in session.run(names, inputs)]
        return [dict(zip(names, map(finite, values), strict=True)) for values in zip(*outputs, strict=True)]

    @app.post("/predict")
    async def predict(row: Row) -> dict[str, Any]:
        return computed([row])[0]

    @app.post("/predict_rows")
    def predict_rows(rows: Annotated[list[Row], Field(min_length=1, max_length=MOST_ROWS)]) -> list[dict[str, Any]]:
        return computed(rows)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metadata")
    async def describe() -> dict[str, Any]:
        return metadata

    return app


def finite(value: Any) -> Any:
    """A number that JSON has no word for is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="what the command export wrote")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    uvicorn.run(app_of(arguments.file), host=arguments.host, port=arguments.port, log_level="warning")
