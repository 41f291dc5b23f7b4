"""An ONNX file takes a table's columns and gives what `predict` gives, in a process without the project."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest

from examples.clicks import visits
from shared_bottom import export_onnx, fit_table, read_table_experiment
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.sources import source_of
from shared_bottom.tables.values import bucket
from spec import (
    CategoricalColumn,
    LabelColumn,
    ModelSpec,
    NetworkSpec,
    NumericColumn,
    TableExperiment,
    TableSpec,
    TaskSpec,
    TimeColumn,
    TrainSpec,
    from_json,
)
from spec.columns import TIME_PARTS
from tests.helpers.census_files import table
from tests.helpers.exported import assert_same, bucket_of, described, inputs_from, untrained
from tests.helpers.sharing_models import SHARINGS, TASKS
from tests.helpers.table_strategies import label_column, rows_of
from tests.test_imports import run

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
EXAMPLES = Path(__file__).parents[1] / "examples"
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


def briefly(spec, rows):
    """The network of an experiment, trained for two epochs."""
    train = replace(spec.train, epochs=2, batch_size=64, execution="eager", device="cpu", early_stopping=None)
    data = replace(spec.data, validation_fraction=0.0)
    return fit_table(replace(spec, train=train, data=data), rows, backend="torch", progress="none")


def test_the_clicks_example(onnxruntime, tmp_path):
    spec = read_table_experiment(EXAMPLES / "clicks.toml")
    trained = briefly(spec, visits(2000, seed=1))
    check(onnxruntime, tmp_path, trained, visits(500, seed=2), tolerance=1e-6)


def test_the_census_example(onnxruntime, tmp_path):
    spec = read_table_experiment(EXAMPLES / "census.toml")
    files = {name: tmp_path / f"{name}.csv" for name in ("train", "test")}
    files["train"].write_text(
        table(60, wage_per_hour=1200) + table(3, income="50000+.", marital_status="Never married")
    )
    files["test"].write_text(table(50) + table(10, race="of no training row", wage_per_hour=7))
    trained = briefly(spec, files["train"])
    blocks = source_of(files["test"]).blocks(trained.columns.data, trained.columns.data.inputs)
    rows = pa.concat_tables(pa.table(block.columns) for block in blocks)
    path = tmp_path / "census.onnx"
    export_onnx(trained, path)
    assert_same(onnxruntime(path, inputs_from(path, rows)), trained.predict(files["test"]), 1e-6)


@pytest.mark.parametrize("tasks", TASKS)
@pytest.mark.parametrize("way", SHARINGS)
def test_every_way_of_sharing_and_every_loss(onnxruntime, tmp_path, way, tasks):
    open_tasks = [replace(t, outputs=1, loss=None) if t.traits.label == "class" else t for t in TASKS[tasks]]
    spec = experiment(
        tasks=tuple(open_tasks),
        network={"sharing": SHARINGS[way]},
        numeric=(NumericColumn(name="gauss"), NumericColumn(name="amount", transform="log1p")),
        categorical=(CategoricalColumn(name="city", dimension=3), CategoricalColumn(name="codes", length=3)),
    )
    check(onnxruntime, tmp_path, untrained(spec, rows_of(spec, 80, 0)), rows_of(spec, 40, 1, spread=1.5))


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_a_regression_label_in_its_own_unit(onnxruntime, tmp_path, transform, standardise):
    task = TaskSpec(name="size", kind="regression", outputs=2)
    label = LabelColumn(columns=("label size 0", "label size 1"), transform=transform, standardise=standardise)
    spec = experiment(tasks=(task,), labels={"size": label}, numeric=(NumericColumn(name="gauss"),))
    check(onnxruntime, tmp_path, untrained(spec, rows_of(spec, 80, 0)), rows_of(spec, 40, 1))


@pytest.mark.parametrize("label", ["city", "code", "truth"])
def test_the_likeliest_class_has_the_type_of_its_column(onnxruntime, tmp_path, label):
    task = TaskSpec(name="kind", kind="multiclass")
    labels = {"kind": LabelColumn(columns=(f"label {label}",))}
    spec = experiment(tasks=(task,), labels=labels, categorical=(CategoricalColumn(name="tags", length=2),))
    check(onnxruntime, tmp_path, untrained(spec, rows_of(spec, 80, 0)), rows_of(spec, 40, 1))


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("numbers", [np.arange(40.0), np.repeat([0.0, 1.0, 5.0], [30, 4, 6]), np.full(40, 3.0)])
def test_numbers_on_between_and_outside_of_the_quantiles(onnxruntime, tmp_path, numbers, distribution):
    column = NumericColumn(name="x", transform="quantile", distribution=distribution, standardise=False)
    spec = experiment(numeric=(column,), labels={"click": LabelColumn(columns=("y",))})
    trained = untrained(spec, pa.table({"x": numbers, "y": np.arange(40) % 2}))
    points = np.unique(numbers)
    others = [np.nextafter(points, np.inf), np.nextafter(points, -np.inf), points + 0.3, points - 0.7, [-1e300, 1e300]]
    check(onnxruntime, tmp_path, trained, pa.table({"x": np.concatenate([points, *others])}))


def test_every_day_of_eight_centuries_has_its_parts(onnxruntime, tmp_path):
    parts = tuple(TIME_PARTS)
    spec = experiment(time=(TimeColumn(name="day", parts=parts),), labels={"click": LabelColumn(columns=("y",))})
    days = np.arange(np.datetime64("1600-01-01"), np.datetime64("2400-01-01")).astype("M8[s]")
    times = days + np.arange(len(days)) % (24 * 60 * 60)
    trained = untrained(spec, pa.table({"day": times[::1000], "y": np.arange(len(times[::1000])) % 2}))
    check(onnxruntime, tmp_path, trained, pa.table({"day": times}), tolerance=1e-11)


def test_values_of_a_list_may_stand_at_any_place(onnxruntime, tmp_path):
    columns = [
        CategoricalColumn(name="first", length=2, keep="first", pooling="sum"),
        CategoricalColumn(name="last", length=2, pooling="max"),
        CategoricalColumn(name="hashed", length=2, encoding="hash", buckets=9),
    ]
    spec = experiment(categorical=columns, labels={"click": LabelColumn(columns=("y",))})
    lists = [["a", "b", "c"], ["c"], [], ["b", "a"]]
    names = [column.name for column in columns]
    trained = untrained(spec, pa.table(dict.fromkeys(names, lists) | {"y": [0, 1, 0, 1]}))
    path = tmp_path / "lists.onnx"
    export_onnx(trained, path)
    texts = np.array([["", "a", "b", "", "c"], ["", "", "", "c", ""], [""] * 5, ["b", "", "", "", "a"]], object)
    buckets = np.array([[bucket(text, 9) if text else -1 for text in row] for row in texts.tolist()])
    inputs = {"first": texts, "last": texts, "hashed": buckets}
    assert_same(onnxruntime(path, inputs), trained.predict(dict.fromkeys(names, lists)), 1e-12)


@pytest.mark.parametrize("rows", [0, 1, 3000])
def test_any_number_of_rows(onnxruntime, tmp_path, rows):
    spec = read_table_experiment(EXAMPLES / "clicks.toml")
    trained = untrained(spec, visits(1000, seed=1))
    if rows:
        check(onnxruntime, tmp_path, trained, visits(rows, seed=2), tolerance=1e-6)
    else:
        path = tmp_path / "clicks.onnx"
        export_onnx(trained, path)
        none = {name: array[:0] for name, array in inputs_from(path, visits(2, seed=2)).items()}
        assert {len(array) for array in onnxruntime(path, none).values()} == {0}


def test_columns_that_are_called_as_predictions_are(onnxruntime, tmp_path):
    """And one that is a number and a category at once."""
    task = TaskSpec(name="count", kind="regression")
    spec = experiment(
        tasks=(task,),
        labels={"count": LabelColumn(columns=("label count",))},
        numeric=(NumericColumn(name="count"), NumericColumn(name="code")),
        categorical=(CategoricalColumn(name="count"), CategoricalColumn(name="code")),
    )
    rows = rows_of(spec, 60, 0)
    trained = untrained(spec, rows)
    check(onnxruntime, tmp_path, trained, rows)
    inputs = [(entry["name"], entry["column"]) for entry in described(tmp_path / "network.onnx")["inputs"]]
    assert inputs == [("count_number", "count"), ("code", "code"), ("count_text", "count"), ("code_text", "code")]


def test_inputs_that_would_meet_are_called_apart(onnxruntime, tmp_path):
    names = ("click", "click_number")
    spec = experiment(
        numeric=[NumericColumn(name=name) for name in names], labels={"click": LabelColumn(columns=("y",))}
    )
    rows = pa.table({"click": [1.0, 2.0, 5.0], "click_number": [3.0, -1.0, 0.5], "y": [0, 1, 0]})
    check(onnxruntime, tmp_path, untrained(spec, rows), rows)
    inputs = {entry["column"]: entry["name"] for entry in described(tmp_path / "network.onnx")["inputs"]}
    assert inputs == {"click": "click_number_number", "click_number": "click_number"}


def test_the_file_says_what_it_was_made_from_and_what_it_takes(tmp_path):
    trained = untrained(read_table_experiment(EXAMPLES / "clicks.toml"), visits(1000, seed=1))
    path = tmp_path / "clicks.onnx"
    export_onnx(trained, path)
    content, metadata = onnx.load(path), described(path)
    properties = {entry.key: entry.value for entry in content.metadata_props}
    assert from_json(ModelSpec, properties["spec"]) == trained.model
    without_files = replace(trained.columns.data, train=(), validation=(), test=())
    assert from_json(FittedColumns, properties["columns"]) == replace(trained.columns, data=without_files)
    assert {"onnx", "numpy"} <= metadata["versions"].keys()
    assert [value.name for value in content.graph.input] == list(trained.columns.data.inputs)
    assert [entry["name"] for entry in metadata["outputs"]] == ["click", "spend"]
    assert all(value.doc_string for value in (*content.graph.input, *content.graph.output))
    (campaign,) = [entry for entry in metadata["inputs"] if entry["name"] == "campaign"]
    assert (campaign["kind"], campaign["buckets"], campaign["type"]) == ("bucket", 64, "int64")


def test_the_hash_is_as_the_metadata_says():
    assert [bucket_of(text, 64) for text in ("", "7", "東京")] == [bucket(text, 64) for text in ("", "7", "東京")]


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


def test_parameters_and_vocabularies_that_are_too_large_for_one_file(tmp_path, monkeypatch):
    spec = experiment(categorical=(CategoricalColumn(name="city"),), train=TrainSpec())
    trained = untrained(spec, rows_of(spec, 20, 0))
    parameters = sum(array.nbytes for array in trained.params.values())
    for most in (parameters - 1, parameters + 100):
        monkeypatch.setattr("shared_bottom.export.file.MOST_BYTES", most)
        said = f"model: expected parameters and vocabularies of at most {most:,} bytes, as an ONNX file can have, got"
        with pytest.raises(ValueError, match=said):
            export_onnx(trained, tmp_path / "large.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [None, 3, b"a.onnx"])
def test_arguments_of_another_kind_are_named(path):
    spec = read_table_experiment(EXAMPLES / "clicks.toml")
    with pytest.raises(ValueError, match=f"^path: expected the name of a file, got {path!r}$"):
        export_onnx(untrained(spec, visits(100, seed=1)), path)
    with pytest.raises(ValueError, match=r"^trained: expected a Trained, as load returns it, got 'runs/a'$"):
        export_onnx("runs/a", "a.onnx")


def test_without_onnx_one_line_names_the_extra():
    code = """
    from shared_bottom import export_onnx
    try:
        export_onnx(None, "a.onnx")
    except ImportError as error:
        print(error)
    """
    assert run(code, blocked={"onnx"}) == "ONNX files need onnx, which is not installed: pip install -e '.[onnx]'"


@pytest.mark.slow
def test_a_file_is_written_without_a_framework(tmp_path):
    code = f"""
    from shared_bottom import export_onnx, read_table_experiment
    from tests.test_export import EXAMPLES, untrained, visits
    export_onnx(untrained(read_table_experiment(EXAMPLES / "clicks.toml"), visits(100, seed=1)), "{tmp_path}/a.onnx")
    """
    run(code, blocked={"torch", "jax", "flax", "optax"})
    assert (tmp_path / "a.onnx").exists()
