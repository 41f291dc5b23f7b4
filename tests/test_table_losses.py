"""What the loss of a task makes of its label column, and of the columns of its predictions."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom import DataWarning
from shared_bottom.predictions import in_column_units, prediction_arrays
from shared_bottom.tables.checks import check_columns
from shared_bottom.tables.rows import fit_columns, read_rows
from shared_bottom.tables.training import read_table
from spec import Dataset, LabelColumn, NumericColumn, Poisson, Quantile, TaskSpec, ZeroInflatedLognormal
from spec.data import random_data
from tests.helpers.builders import model, rejection
from tests.helpers.table_files import encoded, experiment, with_data, write

AMOUNTS = [0.0, 120.0, 4000.0, None, 31.0]
NON_NEGATIVE = pytest.mark.parametrize("loss", [Poisson(), ZeroInflatedLognormal()], ids=lambda loss: loss.kind)


def regression(loss=None, name="y", **label):
    """An experiment with one regression task, whose label is the column y."""
    return tables([TaskSpec(name=name, kind="regression", loss=loss)], {name: LabelColumn(columns=("y",), **label)})


def tables(tasks, labels):
    return experiment(
        tasks=tuple(tasks), numeric=(NumericColumn(name="x"),), categorical=(), weight=None, labels=labels
    )


def rows(**columns):
    return {"x": [1, 2, 3, 4, 5], "y": AMOUNTS} | columns


@NON_NEGATIVE
@pytest.mark.parametrize("standardise", [None, False])
def test_labels_of_0_or_more_are_learned_as_they_are(tmp_path, loss, standardise):
    write(tmp_path, "train.csv", rows())
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)  # that they are far from unit size is as it should be
        columns, data = encoded(tmp_path, regression(loss, standardise=standardise))
    np.testing.assert_array_equal(data.labels["y"][:, 0], [0, 120, 4000, np.nan, 31])
    data.check(columns.model(regression(loss).model))
    assert columns.restore("y", data.labels["y"]).tolist()[:3] == [[0.0], [120.0], [4000.0]]
    (summary,) = (column for column in columns.summary if column.role == "label")
    assert (summary.missing, summary.mean) == (1, pytest.approx(4151 / 4))


@pytest.mark.parametrize(("weight", "warned"), [(1.0, True), (1e-3, False)])
def test_counts_that_outweigh_another_task_are_said(tmp_path, weight, warned):
    write(tmp_path, "train.csv", rows(click=[0, 1, 0, 1, 1]))
    tasks = [
        TaskSpec(name="y", kind="regression", loss="poisson", weight=weight),
        TaskSpec(name="click", kind="binary"),
    ]
    spec = tables(tasks, {name: LabelColumn(columns=(name,)) for name in ("y", "click")})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_columns(spec, tmp_path)
    line = (
        "training rows: task 'y': expected counts near unit size or a weight far below 1, since the loss is as large "
        "as the counts and outweighs other tasks', got a mean of 1038 in column 'y'"
    )
    assert [str(warning.message) for warning in caught] == [line] * warned


@NON_NEGATIVE
@pytest.mark.parametrize("option", [{"standardise": True}, {"transform": "log1p"}])
def test_what_would_make_them_others_is_refused_before_anything_is_read(loss, option):
    spec = regression(loss, **option)
    ((name, value),) = option.items()
    said = f"data.labels.y.{name}: expected none with loss {loss.kind}, which learns labels as they are, got {value!r}"
    assert rejection(check_columns, spec.data, spec.model.tasks) == said
    assert rejection(read_table, spec, "no folder") == said


@NON_NEGATIVE
@pytest.mark.parametrize("name", ["train.csv", "train.parquet"])
def test_a_label_below_0_is_named_with_column_row_and_value(tmp_path, loss, name):
    write(tmp_path, "good.csv", rows())
    write(tmp_path, name, rows(y=[0.0, 1.0, -2.5, -1.0, None]))
    got = "'-2.5'" if name.endswith("csv") else "-2.5"
    said = f"{tmp_path / name}: column 'y', row 3: expected a number of 0 or more with loss {loss.kind}, got {got}"
    spec = with_data(regression(loss), train=(name,))
    assert rejection(fit_columns, spec, tmp_path) == said
    columns = fit_columns(with_data(spec, train=("good.csv",)), tmp_path)
    assert rejection(read_rows, columns, tmp_path, [name]) == said
    assert len(read_rows(columns, tmp_path, [name], labels=False).numeric) == 5


@NON_NEGATIVE
@pytest.mark.parametrize(("value", "dtype"), [(-1, np.int64), (-1e-300, np.float64), (-np.inf, np.float32)])
def test_so_is_one_of_an_array(loss, value, dtype):
    network = model(tasks=(TaskSpec(name="y", kind="regression", loss=loss),))
    data = Dataset(numeric=np.zeros((3, 2)), labels={"y": np.array([0, value, 2], dtype)})
    expected = "expected finite values that fit float32, or NaN for missing, and 0 or more with loss"
    assert rejection(data.check, network, precision="float32") == (
        f"labels['y']: {expected} {loss.kind}, got {np.array(value, dtype)[()]} in row 1"
    )
    missing = np.ma.masked_less(data.labels["y"], 0)
    replace(data, labels={"y": missing}).check(network)
    random_data(network, 50).check(network)


QUANTILE = Quantile(levels=(0.05, 0.5, 0.9))


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("standardise", [None, False])
def test_each_quantile_has_a_column_in_the_labels_unit(tmp_path, transform, standardise):
    write(tmp_path, "train.csv", rows())
    label = {"transform": transform, "standardise": standardise}
    (columns, _), plain = encoded(tmp_path, regression(QUANTILE, **label)), fit_columns(regression(**label), tmp_path)
    predicted = np.array([[-0.5, 0.1, 0.3], [0.0, 0.5, 2.0]], np.float32)
    arrays = prediction_arrays(columns, {"y": predicted})
    assert list(arrays) == ["y_q0.05", "y_q0.5", "y_q0.9"] == columns.prediction_columns()["y"]
    for place, array in enumerate(arrays.values()):
        np.testing.assert_array_equal(array.to_numpy(), plain.restore("y", predicted[:, place]))
    assert (np.diff(np.stack([array.to_numpy() for array in arrays.values()]), axis=0) > 0).all()


def test_what_a_prediction_is_made_of_stands_beside_it(tmp_path):
    write(tmp_path, "train.csv", rows(click=[0, 1, 1, 0, 1], buy=[0, 1, 0, 0, 0]))
    tasks = [
        TaskSpec(name="buy", kind="binary", given="click"),
        TaskSpec(name="click", kind="binary"),
        TaskSpec(name="spend", kind="regression", loss="zero_inflated_lognormal"),
    ]
    labels = {"buy": ("buy",), "click": ("click",), "spend": ("y",)}
    spec = tables(tasks, {name: LabelColumn(columns=columns) for name, columns in labels.items()})
    columns = fit_columns(spec, tmp_path)
    names = ["buy", "buy_given_click", "click", "spend", "spend_probability", "spend_location", "spend_scale"]
    assert [name for of_task in columns.prediction_columns().values() for name in of_task] == names
    predicted = {name: np.full((2, 1) if name == "spend" else 2, place / 8) for place, name in enumerate(names)}
    arrays = prediction_arrays(columns, predicted)
    assert {name: array.to_pylist() for name, array in arrays.items()} == {
        name: [place / 8] * 2 for place, name in enumerate(names)
    }
    in_units = in_column_units(columns, predicted)
    assert all(in_units[name].tolist() == predicted[name].tolist() for name in names)


def colliding(folder, loss, other):
    """An experiment in which a class of the task `a` is called so that its column is that of the task a_y."""
    write(folder, "train.csv", rows(k=[f"y_{other}", "low", "low", "low", "low"]))
    tasks = [TaskSpec(name="a_y", kind="regression", loss=loss), TaskSpec(name="a", kind="multiclass")]
    return tables(tasks, {"a_y": LabelColumn(columns=("y",)), "a": LabelColumn(columns=("k",))})


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
@pytest.mark.parametrize(
    ("loss", "other"),
    [(QUANTILE, "q0.5"), *((ZeroInflatedLognormal(), part) for part in ("probability", "location", "scale"))],
)
def test_columns_of_predictions_that_would_have_one_name_are_refused(tmp_path, loss, other):
    said = rejection(fit_columns, colliding(tmp_path, loss, other), tmp_path)
    assert said.endswith(f"got 'a_y_{other}' twice, of a_y and a")
    assert fit_columns(colliding(tmp_path, "huber", other), tmp_path).classes["a"] == ("low", f"y_{other}")


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_they_are_even_if_the_rows_are_kept(tmp_path):
    folder = tmp_path / "kept"
    read_table(colliding(tmp_path, "huber", "q0.5"), tmp_path, cache=folder)
    spec = colliding(tmp_path, QUANTILE, "q0.5")
    assert rejection(read_table, spec, tmp_path, cache=folder).endswith("got 'a_y_q0.5' twice, of a_y and a")


def test_rows_that_are_kept_serve_the_losses_that_take_them(tmp_path):
    write(tmp_path, "train.csv", rows())
    folder = tmp_path / "kept"
    for loss, entries in ((None, 1), ("huber", 1), (QUANTILE, 1), ("poisson", 2), ("zero_inflated_lognormal", 2)):
        spec = regression(loss)
        columns, data, _ = read_table(spec, tmp_path, cache=folder)
        expected, of_memory, _ = read_table(spec, tmp_path)
        assert columns == expected
        np.testing.assert_array_equal(data.labels["y"], of_memory.labels["y"])
        assert len([path for path in folder.iterdir() if path.is_dir()]) == entries
