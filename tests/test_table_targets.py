"""Labels, weights and predictions: what the network learns of them, and back in the columns' units and names."""

import math

import numpy as np
import pytest

from shared_bottom.tables.rows import fit_columns, read_rows
from spec import LabelColumn, NumericColumn, TaskSpec
from tests.helpers.builders import rejection
from tests.helpers.table_files import COLUMNS, encoded, experiment, simple, write

NAN = math.nan


def test_labels_and_weights_are_what_a_dataset_takes(tmp_path):
    write(tmp_path, "train.csv")
    spec = experiment()
    columns, data = encoded(tmp_path, spec)
    data.check(columns.model(spec.model))
    np.testing.assert_array_equal(data.labels["click"], [1, 0, 1, NAN, 0, 0])
    assert columns.classes == {"plan": ("a", "b", "c")}
    assert data.labels["plan"].tolist() == [1, 0, 2, 0, 1, 2]
    spend = np.log1p([19.5, NAN, 4, 1.25, NAN, 80])
    np.testing.assert_allclose(data.labels["spend"][:, 0], (spend - np.nanmean(spend)) / np.nanstd(spend), rtol=1e-12)
    assert data.sample_weight.tolist() == COLUMNS["weight"]


@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
def test_a_task_may_have_weights_of_its_own(tmp_path, name):
    write(tmp_path, name, COLUMNS | {"w": [1.0, None, 0.5, 2.0, None, 0.0]})
    labels = {
        "click": LabelColumn(columns=("click",), weight="weight"),
        "spend": LabelColumn(columns=("spend",), weight="w"),
        "plan": LabelColumn(columns=("plan",)),
    }
    spec = experiment((name,), labels=labels)
    columns, data = encoded(tmp_path, spec)
    data.check(columns.model(spec.model))
    assert data.sample_weight.tolist() == COLUMNS["weight"]
    assert data.task_weight.keys() == {"click", "spend"}
    assert data.task_weight["click"].tolist() == COLUMNS["weight"]
    assert data.task_weight["spend"].tolist() == [1, 0, 0.5, 2, 0, 0]  # none is needed where the label is missing
    assert read_rows(columns, tmp_path, [name], labels=False).task_weight == {}


def test_a_missing_weight_of_a_row_with_a_label_is_named(tmp_path):
    write(tmp_path, "train.csv", {"x": [1, 2, 3], "y": [0, 1, 0], "w": [1, None, -1]})
    spec = simple(label=LabelColumn(columns=("y",), weight="w"))
    said = rejection(encoded, tmp_path, spec)
    assert said == f"{tmp_path / 'train.csv'}: column 'w', row 2: expected a weight of 0 or more, got ''"


def test_predictions_are_restored_to_the_columns_own_unit(tmp_path):
    write(tmp_path, "train.csv")
    columns, data = encoded(tmp_path, experiment())
    for shape in ((6, 1), (6,)):
        restored = columns.restore("spend", data.labels["spend"].reshape(shape))
        np.testing.assert_allclose(restored, np.reshape([19.5, NAN, 4, 1.25, NAN, 80], shape), rtol=1e-12)
    probability = np.array([0.1, 0.9])
    assert columns.restore("click", probability) is probability
    assert rejection(columns.restore, "x", probability) == "task_name: expected one of click, spend, plan, got 'x'"


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ({"a": ("multiclass", ("k",)), "a_low": ("binary", ("b",))}, "'a_low' twice, of a and a_low"),
        ({"a_p": ("regression", ("q",)), "a": ("regression", ("p", "q"))}, "'a_p' twice, of a_p and a"),
        ({"a": ("regression", ("p", "p")), "b": ("binary", ("b",))}, "'a_p' twice, of a"),
        ({"a": ("regression", ("c_p", "q")), "a_c": ("regression", ("p", "q"))}, "'a_c_p' twice, of a and a_c"),
    ],
)
def test_predictions_that_would_have_one_name_are_refused_before_training(tmp_path, tasks, said):
    rows = {
        "x": [1, 2, 3],
        "k": ["low", "high", "low"],
        "b": [0, 1, 0],
        "p": [1, 2, 4],
        "q": [3, 1, 4],
        "c_p": [5, 1, 1],
    }
    write(tmp_path, "train.csv", rows)
    specs = tuple(
        TaskSpec(name=name, kind=kind, outputs=2 if kind == "multiclass" else len(columns))
        for name, (kind, columns) in tasks.items()
    )
    labels = {name: LabelColumn(columns=columns) for name, (_, columns) in tasks.items()}
    numeric = (NumericColumn(name="x"),)
    spec = experiment(tasks=specs, numeric=numeric, categorical=(), weight=None, labels=labels)
    assert rejection(fit_columns, spec, tmp_path).endswith(said)


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
@pytest.mark.parametrize(
    ("label", "scaled"), [({}, True), ({"standardise": True}, True), ({"standardise": False}, False)]
)
def test_a_regression_label_is_standardised_unless_the_table_says_no(tmp_path, label, scaled):
    prices = np.array([30_000.0, 29_000, 31_500])
    write(tmp_path, "train.csv", {"x": [1, 2, 3], "y": prices.tolist()})
    columns, data = encoded(tmp_path, simple(kind="regression", label=LabelColumn(columns=("y",), **label)))
    learnt = (prices - prices.mean()) / prices.std() if scaled else prices
    np.testing.assert_allclose(data.labels["y"][:, 0], learnt, rtol=1e-12)
    np.testing.assert_allclose(columns.restore("y", data.labels["y"])[:, 0], prices, rtol=1e-12)


def test_a_target_of_several_columns_has_a_scale_for_each(tmp_path):
    write(tmp_path, "train.csv", {"x": [1, 2, 3], "a": [1.0, 2.0, 6.0], "b": [100.0, None, 300.0]})
    label = LabelColumn(columns=("a", "b"), standardise=True)
    columns, data = encoded(tmp_path, simple(kind="regression", outputs=2, label=label))
    assert [scale.mean for scale in columns.labels["y"]] == [3.0, 200.0]
    assert columns.prediction_columns() == {"y": ["y_a", "y_b"]}
    np.testing.assert_allclose(columns.restore("y", data.labels["y"]), [[1, 100], [2, NAN], [6, 300]], rtol=1e-12)


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
@pytest.mark.parametrize(
    ("label", "kind", "values", "expected"),
    [
        ({}, "binary", ["true", "FALSE", "1.0", ""], [1, 0, 1, NAN]),
        ({"positive": "yes"}, "binary", ["yes", "no", "NA", " yes "], [1, 0, NAN, 1]),
        ({}, "multiclass", ["10", "9", "2", "10"], [2, 1, 0, 2]),
        ({"classes": ("low", "mid", "high")}, "multiclass", ["high", "?", "low", ""], [2, -1, 0, -1]),
    ],
)
def test_a_label_column_of_texts(tmp_path, label, kind, values, expected):
    write(tmp_path, "train.csv", {"x": [1, 2, 3, 4], "y": values})
    outputs = 3 if kind == "multiclass" else 1
    _, data = encoded(tmp_path, simple(kind=kind, outputs=outputs, label=LabelColumn(columns=("y",), **label)))
    np.testing.assert_array_equal(data.labels["y"], expected)
