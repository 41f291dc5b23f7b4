"""The whole ONNX file: graph, description, and what it was made from."""

import json
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from shared_bottom.disk import write_whole
from shared_bottom.export.graph import TRADITIONAL, Graph
from shared_bottom.export.ids import embedded_pieces
from shared_bottom.export.inputs import HASH, Input, inputs_of
from shared_bottom.export.links import predictions
from shared_bottom.export.network import Network
from shared_bottom.export.numbers import numeric_pieces
from shared_bottom.export.outputs import Output, outputs_of
from shared_bottom.export.pieces import joined
from shared_bottom.export.times import Times
from shared_bottom.tables.columns import FittedColumns
from spec.files import to_json
from spec.machine import describe
from spec.model import ModelSpec
from spec.params import Params, check_params

OPSETS = {"": 20, TRADITIONAL: 3}
"""Versions of the operators: the first that have all that is needed, for the sake of old runtimes."""
IR_VERSION = 9
"""The version of the file's format that belongs to them."""
MOST_BYTES = 2**31 - 1
"""Of a protobuf message, which an ONNX file is."""
TENSOR_TYPES = {
    "float": TensorProto.FLOAT,
    "double": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}


def write(path: Path, columns: FittedColumns, model: ModelSpec, params: Params) -> None:
    """Write a network with its columns into an ONNX file, whole or not at all.

    Raises ValueError if it would be larger than an ONNX file can be, and OSError if it cannot be written.
    """
    check_params(model, params)
    _check_size(sum(array.nbytes for array in params.values()))  # before they are copied
    content = model_proto(columns, model, params)
    _check_size(content.ByteSize())
    onnx.checker.check_model(content, full_check=True)
    write_whole(path, content.SerializeToString())


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        expected = f"parameters and vocabularies of at most {MOST_BYTES:,} bytes, as an ONNX file can have"
        raise ValueError(f"model: expected {expected}, got {size:,}")


def model_proto(columns: FittedColumns, model: ModelSpec, params: Params) -> ModelProto:
    """The file's content. See `shared_bottom.export.export_onnx`."""
    dtype = next(iter(params.values())).dtype
    outputs = outputs_of(columns, dtype)
    inputs = inputs_of(columns, [output.name for output in outputs])
    graph = Graph([*(value.name for value in inputs), *(value.name for value in outputs)])
    names = {(value.kind, value.column): value.name for value in inputs}
    times = {time.name: Times(graph, names["time", time.name], time, columns.data) for time in columns.data.time}
    numbers = {column: name for (kind, column), name in names.items() if kind == "number"}
    categories = {column: name for (kind, column), name in names.items() if kind in ("text", "bucket")}
    pieces = [
        *numeric_pieces(graph, columns, numbers, times, dtype),
        *embedded_pieces(graph, columns, model, params, categories, times),
    ]
    predictions(graph, columns, Network(graph, model, params).head_outputs(joined(graph, pieces)), dtype)
    content = helper.make_model(
        graph.proto([_value(value) for value in inputs], [_value(value) for value in outputs]),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
        ir_version=IR_VERSION,
        producer_name="shared-bottom",
        doc_string="From a table's columns to predictions in the units of its labels. See the metadata.",
    )
    metadata = {
        "inputs": json.dumps([value.metadata() for value in inputs]),
        "outputs": json.dumps([value.metadata() for value in outputs]),
        "hash": HASH,
        "spec": to_json(model),
        "columns": to_json(_without_paths(columns)),
        "versions": json.dumps(describe(("shared-bottom", "onnx")).versions),
    }
    helper.set_model_props(content, metadata)
    return content


def _without_paths(columns: FittedColumns) -> FittedColumns:
    """The columns without the folders of the machine on which they were learnt."""
    categorical = tuple(
        column if column.embeddings is None else replace(column, embeddings=Path(column.embeddings).name)
        for column in columns.data.categorical
    )
    return replace(columns, data=replace(columns.data, train=(), validation=(), test=(), categorical=categorical))


def _value(value: Input | Output) -> ValueInfoProto:
    element = TENSOR_TYPES[value.type]
    return helper.make_tensor_value_info(value.name, element, value.shape, doc_string=value.description)
