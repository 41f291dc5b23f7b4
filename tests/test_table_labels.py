"""The classes of a label: their type, which predictions have too, and how many there are."""

import datetime
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from shared_bottom.predictions import prediction_arrays
from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.rows import fit_columns, read_table_experiment
from spec import LabelColumn, TaskSpec, from_json, to_json, to_toml
from tests.helpers.builders import rejection
from tests.helpers.table_files import encoded, simple, with_data, write

OPEN = {"kind": "multiclass"}

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")  # the tables are tiny


def predicted(columns, probabilities):
    """The arrays that predict writes, by name, where the network predicts these probabilities."""
    return prediction_arrays(columns, {"y": np.array(probabilities, np.float32)})


@pytest.mark.parametrize(
    ("labels", "class_type", "classes"),
    [
        (pa.array([10, 2, None]), "integer", [2, 10]),
        (pa.array([10, 2, None], pa.uint8()), "integer", [2, 10]),
        (pa.array([10.0, 2.0, None]), "integer", [2, 10]),
        (pa.array([Decimal("10.00"), Decimal("2.00"), None]), "integer", [2, 10]),
        (pa.array([10, 2, None]).dictionary_encode(), "integer", [2, 10]),
        (pa.array([True, False, None]), "boolean", [False, True]),
        (pa.array(["10", "2", None]), "text", ["2", "10"]),
        (pa.array(["10", "2", None]).dictionary_encode(), "text", ["2", "10"]),
        (pa.array(["true", "false", None]), "text", ["false", "true"]),
        (pa.array([0.5, 1.0, None]), "text", ["0.5", "1"]),
        (pa.array([datetime.date(2024, 1, 5), datetime.date(2023, 1, 5), None]), "text", ["2023-01-05", "2024-01-05"]),
        (pa.array([2**64 - 1, 3, None], pa.uint64()), "text", ["3", "18446744073709551615"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_predicted_classes_have_the_type_of_the_label_column(tmp_path, labels, class_type, classes):
    write(tmp_path, "train.parquet", {"x": [1, 2, 3], "y": labels})
    spec = simple(("train.parquet",), **OPEN)
    columns = fit_columns(spec, tmp_path)
    assert columns.class_types == ({} if class_type == "text" else {"y": class_type})
    assert from_json(FittedColumns, to_json(columns)) == columns
    arrays = predicted(columns, [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert arrays["y"].to_pylist() == [classes[0], classes[1], classes[0]]
    assert arrays["y"].type == {"integer": pa.int64(), "boolean": pa.bool_(), "text": pa.string()}[class_type]


@pytest.mark.parametrize(
    ("labels", "class_types"),
    [
        (["10", "2.0", ""], {"y": "integer"}),
        (["True", "false", ""], {"y": "boolean"}),
        (["10", "b", ""], {}),
        (["007", "8", ""], {}),
    ],
)
def test_the_classes_of_a_csv_are_integers_or_booleans_where_all_of_them_are(tmp_path, labels, class_types):
    write(tmp_path, "train.csv", {"x": [1, 2, 3], "y": labels})
    assert fit_columns(simple(**OPEN), tmp_path).class_types == class_types


def test_classes_that_are_named_have_the_columns_type_too(tmp_path):
    write(tmp_path, "train.parquet", {"x": [1, 2], "y": [3, 1]})
    spec = simple(("train.parquet",), label=LabelColumn(columns=("y",), classes=("3", "2", "1")), **OPEN)
    columns, data = encoded(tmp_path, spec)
    assert predicted(columns, [[0.1, 0.2, 0.7]])["y"].to_pylist() == [1]
    assert data.labels["y"].tolist() == [0, 2]


def test_the_classes_of_several_files_are_texts_if_those_of_one_are(tmp_path):
    write(tmp_path, "a.csv", {"x": [1, 2], "y": [1, 2]})
    write(tmp_path, "b.parquet", {"x": [1, 2], "y": ["1", "2"]})
    write(tmp_path, "c.parquet", {"x": [1, 2], "y": [1, 2]})
    assert fit_columns(simple(("a.csv", "b.parquet"), **OPEN), tmp_path).class_types == {}
    assert fit_columns(simple(("a.csv", "c.parquet"), **OPEN), tmp_path).class_types == {"y": "integer"}


@pytest.mark.parametrize(
    ("label", "outputs"),
    [(None, 3), (LabelColumn(columns=("y",), classes=("a", "b", "c", "d")), 4)],
    ids=["those of the rows", "those that are named"],
)
def test_outputs_that_are_left_out_are_as_many_as_the_classes(tmp_path, label, outputs):
    write(tmp_path, "train.csv", {"x": [1, 2, 3, 4], "y": ["b", "a", "c", "a"]})
    spec = simple(label=label, **OPEN)
    path = tmp_path / "table.toml"
    path.write_text(to_toml(spec).replace("outputs = 1\n", ""), encoding="utf-8")
    assert read_table_experiment(path) == spec
    columns, data = encoded(tmp_path, spec)
    assert columns.tasks == (TaskSpec(name="y", kind="multiclass", outputs=outputs),)
    model = columns.model(spec.model)
    assert model.tasks == columns.tasks
    data.check(model)
    filled = replace(spec, model=replace(spec.model, tasks=columns.tasks))
    assert fit_columns(filled, tmp_path) == columns


def test_one_class_is_too_few(tmp_path):
    write(tmp_path, "train.csv", {"x": [1, 2], "y": ["a", "a"]})
    line = rejection(fit_columns, simple(**OPEN), tmp_path)
    assert line == f"{tmp_path / 'train.csv'}: column 'y': expected 2 or more classes, got 1: 'a'"
    named = with_data(simple(**OPEN), labels={"y": LabelColumn(columns=("y",), classes=("a", "a"))})
    line = rejection(check_columns, named.data, named.model.tasks)
    assert line == "data.labels.y.classes: expected 2 or more distinct values, got ('a', 'a')"
