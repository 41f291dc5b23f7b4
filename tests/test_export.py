"""An ONNX file takes a table's columns and gives what `predict` gives, in a process without the project."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from examples.clicks import visits
from shared_bottom import export_onnx, fit_table, read_table_experiment
from shared_bottom.tables.sources import source_of
from shared_bottom.tables.values import bucket
from spec import (
    CategoricalColumn,
    LabelColumn,
    NumericColumn,
    TaskSpec,
    TimeColumn,
)
from spec.columns import TIME_PARTS
from tests.helpers.census_files import table
from tests.helpers.exported import (
    assert_same,
    check,
    experiment,
    inputs_from,
    untrained,
)
from tests.helpers.sharing_models import SHARINGS, TASKS
from tests.helpers.table_strategies import rows_of

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
EXAMPLES = Path(__file__).parents[1] / "examples"


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
