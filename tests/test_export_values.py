"""Missing values in every spelling, numbers with commas and numbers that are refused, in an ONNX file."""

import numpy as np
import pyarrow as pa
import pytest

from shared_bottom import export_onnx
from spec import CategoricalColumn, LabelColumn, NumericColumn, TaskSpec, TrainSpec
from tests.helpers.exported import assert_same, check, experiment, inputs_from, untrained

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")


REFUSING = {
    "as it is": {},
    "log1p": {"transform": "log1p"},
    "bins": {"bins": 2},
    "log1p in bins": {"transform": "log1p", "bins": 2},
    "quantiles": {"transform": "quantile"},
}


@pytest.mark.parametrize("options", REFUSING)
def test_what_predict_refuses_is_no_number(onnxruntime, tmp_path, options):
    spec = experiment(
        numeric=(NumericColumn(name="x", **REFUSING[options]),),
        labels={"click": LabelColumn(columns=("y",))},
        network={"activation": "tanh"},
    )
    trained = untrained(spec, pa.table({"x": [0.0, 1.0, 2.0], "y": [0, 1, 0]}))
    path = tmp_path / "network.onnx"
    export_onnx(trained, path)
    click = onnxruntime(path, {"x": np.array([np.inf, -np.inf, -1.0, -7.0, np.nan, 1.0])})["click"]
    of_negative = "log1p" in options
    np.testing.assert_array_equal(np.isnan(click), [True, True, of_negative, of_negative, False, False])


def test_missing_numbers_of_a_column_that_was_float32(onnxruntime, tmp_path):
    column = NumericColumn(name="x", missing=("-99.9", "NA"))
    spec = experiment(numeric=(column,), labels={"click": LabelColumn(columns=("y",))})
    narrow = pa.table({"x": pa.array([-99.9, 1.0, 5.0, 3.0], pa.float32()), "y": [0, 1, 0, 1]})
    for rows in (narrow, narrow.set_column(0, "x", [[-99.9, 1.0, 5.0, 3.0]])):
        check(onnxruntime, tmp_path, untrained(spec, rows), rows)


def test_missing_texts_in_another_spelling(onnxruntime, tmp_path):
    missing = ("-999.0", " NA ", "true", "2024-01-05T00:00:00")
    columns = [
        CategoricalColumn(name="plain", missing=missing),
        CategoricalColumn(name="hashed", encoding="hash", buckets=50, missing=missing),
        CategoricalColumn(name="list", length=2, missing=missing),
        CategoricalColumn(name="hashed list", length=2, encoding="hash", buckets=50, missing=missing),
    ]
    values = ["-999", "NA", "TRUE", "True", "2024-01-05", "-999.0", "b", "", " c ", "False", None]
    rows = pa.table(
        dict.fromkeys(("plain", "hashed"), values)
        | {name: [[value, "b"] for value in values] for name in ("list", "hashed list")}
        | {"y": [0, 1] * 5 + [0]}
    )
    spec = experiment(categorical=columns, labels={"click": LabelColumn(columns=("y",))})
    path = tmp_path / "network.onnx"
    trained = untrained(spec, rows)
    check(onnxruntime, tmp_path, trained, rows)
    plain = np.array(["TRUE", "-999.0", "b", "FALSE"], object)  # a graph knows how booleans are spelled
    inputs = inputs_from(path, rows.take([2, 5, 6, 9]))
    spelled = inputs | {"plain": plain, "list": np.stack([plain, np.array(["b"] * 4, object)], axis=1)}
    assert onnxruntime(path, spelled)["click"].tolist() == onnxruntime(path, inputs)["click"].tolist()


@pytest.mark.parametrize("encoding", [{}, {"encoding": "hash", "buckets": 50}])
def test_an_empty_text_that_is_a_value(onnxruntime, tmp_path, encoding):
    columns = (CategoricalColumn(name="c", missing=(), **encoding),)
    spec = experiment(categorical=columns, labels={"click": LabelColumn(columns=("y",))})
    rows = pa.table({"c": ["", "a", None, "NA"], "y": [0, 1, 0, 1]})
    check(onnxruntime, tmp_path, untrained(spec, rows), rows)


def test_numbers_as_texts_with_commas(onnxruntime, tmp_path):
    """What is text in a table is a number to the file, and a category has a point."""
    spec = experiment(
        numeric=(NumericColumn(name="x", missing=("-1.000,5",)),),
        categorical=(CategoricalColumn(name="c"),),
        labels={"click": LabelColumn(columns=("y",))},
        decimal=",",
        thousands=".",
        delimiter=";",
    )
    rows = pa.table({"x": ["1.234,5", "-1.000,5", "7"], "c": ["1,50", "2,0", "x"], "y": [0, 1, 0]})
    trained = untrained(spec, rows)
    export_onnx(trained, tmp_path / "network.onnx")
    inputs = {"x": np.array([1234.5, -1000.5, 7.0]), "c": np.array(["1.5", "2", "x"], object)}
    assert_same(onnxruntime(tmp_path / "network.onnx", inputs), trained.predict(rows), 1e-12)


def test_a_mean_that_float32_cannot_hold_is_infinite(onnxruntime, tmp_path):
    task = TaskSpec(name="count", kind="regression", loss="poisson")
    spec = experiment(
        tasks=(task,),
        labels={"count": LabelColumn(columns=("y",))},
        numeric=(NumericColumn(name="x"),),
        train=TrainSpec(precision="float32", device="cpu"),
    )
    rows = pa.table({"x": [0.0, 1.0, 2.0], "y": [0, 1, 5]})
    trained = untrained(spec, rows)
    trained.params["tasks.count.0.bias"][:] = 100.0
    check(onnxruntime, tmp_path, trained, rows)
    assert trained.predict(rows)["count"].to_pylist() == [np.inf] * 3
