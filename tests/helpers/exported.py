"""Rows of a table as the inputs of an exported file, written as the file's metadata says, by another way than ours."""

import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa

from shared_bottom import Trained, export_onnx, fit_columns
from spec import NetworkSpec, TableExperiment, TableSpec, TaskSpec, TrainSpec, initial_params
from tests.helpers.table_strategies import label_column

EXACT = TrainSpec(precision="float64", device="cpu")
CLICK = TaskSpec(name="click", kind="binary")


def experiment(*, tasks=(CLICK,), labels=None, train=EXACT, network=None, **data):
    labels = labels or {task.name: label_column(task) for task in tasks}
    model = NetworkSpec(trunk=(5, 4), tasks=tasks, **(network or {}))
    return TableExperiment(model=model, train=train, data=TableSpec(labels=labels, **data))


def check(onnxruntime, folder, trained, rows, tolerance=1e-12):
    """Export the network, and compare the file's outputs with the predictions for rows."""
    path = folder / "network.onnx"
    export_onnx(trained, path)
    assert_same(onnxruntime(path, inputs_from(path, rows)), trained.predict(rows), tolerance)


def untrained(experiment, rows):
    """A network on a table's columns, with parameters that are far from each other."""
    columns = fit_columns(experiment, rows)
    model = columns.model(experiment.model)
    draw, params = np.random.default_rng(0), initial_params(model, precision=experiment.train.precision)
    params = {name: (value + draw.normal(0, 0.3, value.shape)).astype(value.dtype) for name, value in params.items()}
    return Trained(columns=columns, model=model, params=params, backend="torch", device="cpu")


def assert_same(exported, predicted, tolerance):
    """Asserts that a file's outputs are the columns of predictions, numbers to a share of the largest of their column.

    Where two classes are as likely as each other, either may be the likeliest.
    """
    assert list(exported) == predicted.column_names
    for name, array in exported.items():
        expected = predicted[name].to_numpy()
        if expected.dtype.kind == "f":
            assert array.dtype == expected.dtype, name
            finite = np.isfinite(expected)
            np.testing.assert_array_equal(array[~finite], expected[~finite], err_msg=name)
            error = np.abs(array[finite] - expected[finite]).max(initial=0)
            assert error <= tolerance * np.abs(expected[finite]).max(initial=0), f"{name}: {error}"
        else:
            assert array.dtype.kind == {"O": "U"}.get(expected.dtype.kind, expected.dtype.kind), name
            chosen = [exported[f"{name}_{text_of(value)}"][row] for row, value in enumerate(array.tolist())]
            likeliest = [exported[f"{name}_{text_of(value)}"][row] for row, value in enumerate(expected.tolist())]
            np.testing.assert_allclose(chosen, likeliest, rtol=tolerance, err_msg=name)


def largest_error(predicted, exact):
    """How far predictions are from those of a higher precision, as a share of the largest of their column."""
    errors = [0.0]
    for name in predicted.column_names:
        one, other = predicted[name].to_numpy(), exact[name].to_numpy()
        if one.dtype.kind == "f":
            finite = np.isfinite(one) & np.isfinite(other)
            scale = np.abs(other[finite]).max(initial=0) or 1.0
            errors.append(np.abs(one[finite] - other[finite]).max(initial=0) / scale)
    return max(errors)


def described(path):
    """The metadata of an ONNX file by name, what is JSON as what it says."""
    content = onnx.load(path)
    metadata = {entry.key: entry.value for entry in content.metadata_props}
    return {name: json.loads(text) if text[:1] in "[{" else text for name, text in metadata.items()}


def inputs_from(path, table):
    """The inputs of an ONNX file by name, for the rows of a pyarrow table."""
    return {entry["name"]: array_of(entry, table[entry["column"]]) for entry in described(path)["inputs"]}


def array_of(entry, column):
    """The values of a column as one of the file's inputs, which `entry` of the metadata describes."""
    if entry["kind"] == "number":
        return np.array([np.nan if value is None else float(value) for value in column.to_pylist()])
    if entry["kind"] == "time":
        return column.cast(pa.timestamp("us")).combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
    values = column.to_pylist()
    if entry["several"]:
        longest = max(1, *(len(row or ()) for row in values))
        values = [[*(row or ()), *[None] * (longest - len(row or ()))] for row in values]
    texts = np.array(values, object)
    nothing = entry["none"] if entry["kind"] == "text" else -1 if entry["several"] else 0

    def one(value):
        if value is None or (entry["kind"] == "bucket" and text_of(value) in entry["missing"]):
            return nothing
        return text_of(value) if entry["kind"] == "text" else bucket_of(text_of(value), entry["buckets"])

    converted = np.array([one(value) for value in texts.flat], object).reshape(texts.shape)
    return converted if entry["kind"] == "text" else converted.astype(np.int64)


def text_of(value):
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    text = str(value).strip()
    return text.lower() if text in ("True", "False") else text


def bucket_of(text, buckets):
    """As `hash` of the metadata says it."""
    x = zlib.crc32(text.encode()) & 0x7FFFFFFF
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x ^= x >> shift
        x = x * factor & 0x7FFFFFFF
    return (x ^ (x >> 15)) % buckets + 1


class Reader:
    """A process of its own that reads exported files with one library, and without the project.

    folder: for the arrays that go to it and come back.
    """

    def __init__(self, library, folder):
        program = Path(__file__).with_name("reader.py")
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-I", program, library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )

    def __call__(self, path, inputs):
        """What a file computes of its inputs, by name both."""
        before, after = self._folder / "inputs.npz", self._folder / "outputs.npz"
        texts = {name: array.astype(str) if array.dtype == object else array for name, array in inputs.items()}
        np.savez(before, *texts.values(), names=np.array(list(texts)))
        self._process.stdin.write(f"{path}\t{before}\t{after}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n", "the reader has failed: see its standard error"
        with np.load(after) as file:
            return {str(name): file[f"arr_{place}"] for place, name in enumerate(file["names"])}

    def close(self):
        self._process.communicate()
