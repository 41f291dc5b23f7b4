"""What a table's TOML is rejected with before any file is read."""

from pathlib import Path

import pytest

from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.rows import fit_columns, read_table_experiment
from spec import CategoricalColumn, LabelColumn, NumericColumn, TableExperiment, TableSpec, from_toml, to_toml
from tests.helpers.builders import rejection
from tests.helpers.table_files import experiment, simple, with_data

CLICK, SPEND, PLAN = (LabelColumn(columns=(name,)) for name in ("click", "spend", "plan"))


def labels(**replaced):
    return {"click": CLICK, "spend": SPEND, "plan": PLAN} | replaced


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"labels": labels(x=CLICK)}, "data.labels: expected tasks among click, spend, plan, got 'x'"),
        ({"labels": {"spend": SPEND, "plan": PLAN}}, "data.labels.click: expected the label of task 'click', got none"),
        (
            {"labels": labels(spend=LabelColumn(columns=("a", "b")))},
            "data.labels.spend.columns: expected 1 for the regression task, got 2",
        ),
        (
            {"labels": labels(plan=LabelColumn(columns=("a", "b")))},
            "data.labels.plan.columns: expected 1 for the multiclass task, got 2",
        ),
        (
            {"labels": labels(spend=LabelColumn(columns=("spend",), positive="1"))},
            "data.labels.spend.positive: expected none for the regression task, got '1'",
        ),
        (
            {"labels": labels(click=LabelColumn(columns=("click",), classes=("0", "1")))},
            "data.labels.click.classes: expected none for the binary task, got ('0', '1')",
        ),
        (
            {"labels": labels(plan=LabelColumn(columns=("plan",), transform="log1p"))},
            "data.labels.plan.transform: expected none for the multiclass task, got 'log1p'",
        ),
        (
            {"labels": labels(click=LabelColumn(columns=("click",), standardise=True))},
            "data.labels.click.standardise: expected none for the binary task, got True",
        ),
        (
            {"labels": labels(plan=LabelColumn(columns=("plan",), classes=("a", "b")))},
            "data.labels.plan.classes: expected 3 distinct values, got ('a', 'b')",
        ),
        (
            {"labels": labels(plan=LabelColumn(columns=("plan",), classes=("1", "2", "2.0")))},
            "data.labels.plan.classes: expected 3 distinct values, got ('1', '2', '2.0')",
        ),
        (
            {"numeric": (NumericColumn(name="spend"),)},
            "data.labels.spend.columns: expected a column that is no input, got 'spend'",
        ),
        (
            {"categorical": (CategoricalColumn(name="plan"),)},
            "data.labels.plan.columns: expected a column that is no input, got 'plan'",
        ),
        (
            {"numeric": (NumericColumn(name="weight"),)},
            "data.weight: expected a column that is no input, got 'weight'",
        ),
        (
            {"labels": labels(click=LabelColumn(columns=("click",), weight="age"))},
            "data.labels.click.weight: expected a column that is no input, got 'age'",
        ),
        (
            {"categorical": (CategoricalColumn(name="zip code"), CategoricalColumn(name="zip-code"))},
            "data.categorical: expected names that differ as identifiers, got 'zip code' and 'zip-code'",
        ),
    ],
)
def test_what_no_type_can_say(tmp_path, data, message):
    spec = with_data(experiment(), **data)
    assert rejection(check_columns, spec.data, spec.model.tasks) == message
    assert rejection(fit_columns, spec, tmp_path) == message
    path = tmp_path / "table.toml"
    path.write_text(to_toml(spec), encoding="utf-8")
    assert rejection(read_table_experiment, path) == f"{path}: {message}"


def test_a_right_one_passes_and_is_read_from_a_file(tmp_path):
    spec = experiment()
    check_columns(spec.data, spec.model.tasks)
    spec = simple(kind="regression", outputs=2, label=LabelColumn(columns=("a", "b"), standardise=True))
    check_columns(spec.data, spec.model.tasks)
    spec = simple(label=LabelColumn(columns=("y",), standardise=False))  # what no task but a regression does anyway
    check_columns(spec.data, spec.model.tasks)
    path = tmp_path / "table.toml"
    path.write_text(to_toml(experiment(("../rows.csv",))), encoding="utf-8")
    assert read_table_experiment(path) == experiment(("../rows.csv",))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("memory_mb = 256", "memory_mb = 0", ["data.memory_mb: ", "got 0"]),
        ("memory_mb = 256", "memory = 1", ["data.memory: ", "got 1"]),
        ('delimiter = ","', 'delimiter = "tab"', ["data.delimiter: ", "got 'tab'"]),
        ("[model]", "[model]\nnumeric = 3", ["model.numeric: ", "got 3"]),
        ("[data]", "[data]\ntrain = = 2", ["line "]),
        ('"log1p"', '"log"', ["data.numeric.1.transform: ", "got 'log'"]),
    ],
)
def test_a_bad_file_is_named_with_the_field(tmp_path, old, new, words):
    path, text = tmp_path / "table.toml", to_toml(experiment())
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    line = rejection(read_table_experiment, path)
    assert line.startswith(f"{path}: ")
    assert [word for word in words if word not in line] == []


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"table\.toml"):
        read_table_experiment(tmp_path / "table.toml")


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (
            CategoricalColumn,
            {"name": "c", "encoding": "hash"},
            "buckets: expected a number with encoding 'hash' in column 'c', got None",
        ),
        (
            CategoricalColumn,
            {"name": "c", "buckets": 9},
            "buckets: expected none without encoding 'hash' in column 'c', got 9",
        ),
        (
            CategoricalColumn,
            {"name": "c", "encoding": "hash", "buckets": 9, "minimum_count": 2},
            "minimum_count: expected 1 with encoding 'hash', got 2",
        ),
        (
            CategoricalColumn,
            {"name": "c", "encoding": "hash", "buckets": 9, "embeddings": "v.parquet"},
            "embeddings: expected none with encoding 'hash', got 'v.parquet'",
        ),
        (
            CategoricalColumn,
            {"name": "c", "trainable": False},
            "trainable: expected true without embeddings in column 'c', got false",
        ),
        (
            CategoricalColumn,
            {"name": "c", "separator": "|"},
            "separator: expected none with length 1 in column 'c', got '|'",
        ),
        (
            NumericColumn,
            {"name": "x", "distribution": "uniform"},
            "distribution: expected none without transform 'quantile' in column 'x', got 'uniform'",
        ),
        (LabelColumn, {"columns": ()}, "columns: expected at least one, got ()"),
    ],
)
def test_a_column_that_cannot_be(cls, fields, message):
    assert rejection(cls, **fields).endswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"numeric": (), "categorical": ()}, "expected at least one input column, got none"),
        ({"numeric": 2 * (NumericColumn(name="age"),)}, "numeric: expected distinct names, got 'age' twice"),
        ({"column_names": ("a", "b", "a")}, "column_names: expected distinct names, got 'a' twice"),
        (
            {"validation": ("v.csv",), "validation_fraction": 0.1},
            "validation_fraction: expected 0 with validation files, got 0.1",
        ),
        ({"decimal": ","}, "decimal: expected another than thousands and delimiter have, got ','"),
        ({"thousands": "."}, "decimal: expected another than thousands and delimiter have, got '.'"),
        ({"thousands": ","}, "thousands: expected another than delimiter has, got ','"),
    ],
)
def test_a_table_that_cannot_be(data, message):
    own = {name: getattr(experiment().data, name) for name in ("train", "numeric", "categorical", "labels")}
    assert rejection(TableSpec, **(own | data)).endswith(message)


@pytest.mark.parametrize("name", ["census", "clicks"])
def test_the_examples_can_be_written_as_they_are_read(name):
    spec = read_table_experiment(Path(__file__).parent.parent / "examples" / f"{name}.toml")
    assert from_toml(TableExperiment, to_toml(spec)) == spec
