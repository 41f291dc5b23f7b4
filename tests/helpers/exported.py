"""Rows of a table as the inputs of an exported file, written as the file's metadata says, by another way than ours."""

import json
import zlib

import numpy as np
import onnx
import pyarrow as pa


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
    one, none = (text_of, "") if entry["kind"] == "text" else (lambda value: bucket_of(value, entry["buckets"]), -1)
    values = column.to_pylist()
    if not entry["several"]:
        return np.array([one(value) for value in values], object if none == "" else np.int64)
    lists = [[one(value) for value in values_of_row or () if value is not None] for values_of_row in values]
    longest = max(1, *map(len, lists))
    padded = [row + [none] * (longest - len(row)) for row in lists]
    return np.array(padded, object if none == "" else np.int64)


def text_of(value):
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return str(int(value)) if value.is_integer() else str(value)
    return str(value).strip()


def bucket_of(value, buckets):
    """As `hash` of the metadata says it."""
    if value is None:
        return 0
    x = zlib.crc32(text_of(value).encode()) & 0x7FFFFFFF
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x ^= x >> shift
        x = x * factor & 0x7FFFFFFF
    return (x ^ (x >> 15)) % buckets + 1
