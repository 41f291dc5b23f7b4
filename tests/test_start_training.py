"""Training that starts from an earlier run: the same in both backends, resumed, and with encoded rows that are kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared_bottom.folder import write_trained
from shared_bottom.table_training import fit_table
from shared_bottom.tables.training import read_table
from spec import Adam, LabelColumn, TaskSpec
from tests.helpers.row_cache import assert_same, names, no_reading
from tests.helpers.runs import quickest
from tests.helpers.table_files import COLUMNS, experiment, write
from tests.helpers.tomorrow import EXPERIMENT, LABELS, MONDAY, TASKS, TUESDAY, changed, untrained

pytestmark = pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
TOMORROW = {"precision": "float64", "optimizer": Adam(learning_rate=0.01), "epochs": 3, "seed": 4}


def tomorrow(backend, **train):
    """Another task, other rows, another rate."""
    tasks = (*TASKS[:2], TaskSpec(name="buy", kind="binary"))
    labels = {name: LABELS[name] for name in ("click", "spend")} | {"buy": LabelColumn(columns=("click",))}
    train = TOMORROW | {"execution": quickest(backend)} | train
    return changed(data={"labels": labels}, model={"tasks": tasks}, train=train)


@pytest.fixture(scope="module")
def curves():
    """The curve of each backend, and the parameters at its end, which are trained once."""
    pytest.importorskip("torch")
    pytest.importorskip("jax")
    earlier = untrained(EXPERIMENT)
    return {
        backend: fit_table(tomorrow(backend), TUESDAY, backend=backend, start_from=earlier)
        for backend in ("torch", "jax")
    }


def test_both_backends_start_from_it_alike(curves):
    one, other = curves["torch"], curves["jax"]
    np.testing.assert_allclose(one.history.step_loss, other.history.step_loss, rtol=1e-9)
    for name, value in one.params.items():
        np.testing.assert_allclose(value, other.params[name], rtol=1e-7, atol=1e-9, err_msg=name)
    assert one.columns == other.columns


def test_it_is_another_curve_than_one_that_starts_anew(curves):
    anew = fit_table(tomorrow("torch"), TUESDAY, backend="torch")
    assert abs(anew.history.step_loss[0] / curves["torch"].history.step_loss[0] - 1) > 1e-3


def test_from_python_too_it_can_be_resumed(curves, tmp_path):
    earlier = untrained(EXPERIMENT)
    options = {"backend": "torch", "start_from": earlier, "checkpoint": tmp_path / "saved"}
    fit_table(tomorrow("torch", epochs=1), TUESDAY, **options)
    resumed = fit_table(tomorrow("torch"), TUESDAY, **options, resume=True)
    np.testing.assert_array_equal(resumed.history.step_loss, curves["torch"].history.step_loss)
    with pytest.raises(ValueError, match=r"^resume: expected the run of .*, got another: start: "):
        fit_table(tomorrow("torch"), TUESDAY, **options | {"start_from": trained_otherwise(earlier)}, resume=True)


def trained_otherwise(earlier):
    """The earlier network, otherwise trained."""
    return replace(earlier, params={name: value + 1 for name, value in earlier.params.items()})


@pytest.mark.parametrize("folder", [str, Path, None])
def test_a_network_that_a_start_led_to_can_be_started_from(curves, tmp_path, folder):
    """As an object, or from the folder of its run."""
    write_trained(tmp_path / "run", curves["torch"])
    start_from = folder(tmp_path / "run") if folder else curves["torch"]
    again = fit_table(tomorrow("torch"), MONDAY, backend="torch", start_from=start_from)
    assert again.columns.vocabularies == curves["torch"].columns.vocabularies
    assert again.columns.numeric == curves["torch"].columns.numeric


def test_a_day_without_any_label_of_a_task_is_trained_on(curves):
    rows = TUESDAY | {"spend": [None] * 6, "click": [1] * 6}
    trained = fit_table(tomorrow("torch"), rows, backend="torch", start_from=curves["torch"])
    assert np.isfinite(trained.history.step_loss).all()
    kernel = "tasks.spend.0.kernel"
    np.testing.assert_array_equal(trained.params[kernel], curves["torch"].params[kernel])


def test_what_is_taken_over_decides_the_encoding_of_rows_that_are_kept(tmp_path, monkeypatch):
    write(tmp_path, "train.csv")
    write(tmp_path, "yesterday.csv", COLUMNS | {"city": ["Zug", *COLUMNS["city"][1:]], "age": [90.0] * 5 + [20.0]})
    spec, folder = experiment(), tmp_path / "cache"
    earlier = read_table(experiment(("yesterday.csv",)), tmp_path)[0]
    without, started = read_table(spec, tmp_path), read_table(spec, tmp_path, earlier=earlier)
    assert without[0].vocabularies["city"] == ("Bern", "Oslo", "Rome")
    assert started[0].vocabularies["city"] == ("Bern", "Oslo", "Rome", "Zug")
    assert started[0].numeric["age"] == earlier.numeric["age"] != without[0].numeric["age"]
    assert_same(read_table(spec, tmp_path, cache=folder), without)
    assert_same(read_table(spec, tmp_path, cache=folder, earlier=earlier), started)
    assert len(names(folder)) == 2
    no_reading(monkeypatch)
    assert_same(read_table(spec, tmp_path, cache=folder, earlier=earlier), started)
