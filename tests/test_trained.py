"""The short way from a table to a trained network and to predictions: the same as the commands fit and predict give."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom import DataWarning, fit_table, read_trained, write_trained
from shared_bottom.folder import run_folder
from spec import EarlyStopping
from tests.helpers.builders import rejection
from tests.helpers.cli import EXPERIMENT, LABELS, changed, run, table, write
from tests.helpers.runs import quickest

NO_FILES = changed(EXPERIMENT, train=(), test=())
TEST = table(30, seed=1)


def fitted(backend, rows, experiment=NO_FILES, **options):
    """What `fit_table` gives with the execution that takes the least time to start."""
    train = replace(experiment.train, execution=quickest(backend.name))
    return fit_table(replace(experiment, train=train), rows, backend=backend.name, progress="none", **options)


def frame(kind, content):
    return {
        "pandas": content.to_pandas,
        "polars": lambda: pl.DataFrame(content),
        "pyarrow": lambda: content,
        "dict": content.to_pydict,
    }[kind]()


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict"])
def test_from_a_frame_to_predictions_as_the_commands_do(backend, kind, tmp_path, capsys):
    trained = fitted(backend, frame(kind, table(60)))
    write_trained(tmp_path / "run", trained)
    file = write(tmp_path / "test.parquet", TEST)
    flags = ("--backend", backend.name)
    run("predict", tmp_path / "run", file, "--out", tmp_path / "p.parquet", *flags)
    run("evaluate", tmp_path / "run", "--data", file, "--json", tmp_path / "m.json", *flags)
    expected = parquet.read_table(tmp_path / "p.parquet")
    for rows in (frame(kind, TEST), frame(kind, TEST.drop_columns(list(LABELS))), file, str(file)):
        assert trained.predict(rows).equals(expected)
    assert trained.predict(frame(kind, TEST)).to_pandas().shape == (30, 7)
    assert trained.evaluate(frame(kind, TEST)) == json.loads((tmp_path / "m.json").read_text())["metrics"]


def test_a_frame_trains_as_its_file_does(backend, tmp_path):
    content = table(60)
    file, other = write(tmp_path / "train.parquet", content), table(20, seed=2)
    in_memory = fitted(backend, content)
    for trained in (fitted(backend, file), fitted(backend, [str(file)])):
        np.testing.assert_array_equal(trained.history.step_loss, in_memory.history.step_loss)
    separate = fitted(backend, content, changed(NO_FILES, validation_fraction=0.0), validation=other)
    assert separate.history.epochs[-1].keys() == in_memory.history.epochs[-1].keys()
    assert len(separate.history.step_loss) > len(in_memory.history.step_loss)


def test_what_is_written_is_read_and_predicts_in_any_backend(backend, tmp_path):
    trained = fitted(backend, table(60))
    folder = str(tmp_path / "new" / "run")
    write_trained(folder, trained)
    again = read_trained(folder)
    assert (again.columns, again.model, again.history) == (trained.columns, trained.model, None)
    assert replace(again, backend=backend.name).predict(TEST).equals(trained.predict(TEST))
    chosen = again.predict(TEST)  # whichever is installed
    np.testing.assert_allclose(chosen["click"], trained.predict(TEST)["click"], rtol=1e-5)
    with run_folder(tmp_path / "other", resume=False):
        write_trained(tmp_path / "other", trained)
    assert read_trained(tmp_path / "other").columns == trained.columns


def test_what_a_run_of_the_command_has_written_is_not_written_over(backend, tmp_path):
    trained = fitted(backend, table(60))
    (tmp_path / "experiment.toml").write_text("")
    message = f"folder: expected another than that of a run, which has its model, got {str(tmp_path)!r}"
    assert rejection(write_trained, tmp_path, trained) == message
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.toml"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fit_table("clicks.toml", table(9)),
            "experiment: expected a TableExperiment, as read_table_experiment",
        ),
        (lambda: fit_table(table(9), NO_FILES), "experiment: expected a TableExperiment, as read_table_experiment"),
        (lambda: write_trained(NO_FILES, "runs/new"), "trained: expected a Trained, as fit_table and load return it"),
    ],
)
def test_arguments_that_are_exchanged_are_named(call, message):
    assert rejection(call).startswith(message)


def test_a_trained_network_is_shown_in_one_line(backend):
    trained = fitted(backend, table(60))
    assert repr(trained).startswith("Trained(tasks click, ")
    assert repr(trained).endswith(f"parameters; backend {backend.name})")


def test_a_run_is_resumed(backend, tmp_path):
    folder = str(tmp_path / "checkpoints")
    whole = fitted(backend, table(60), checkpoint=folder)
    again = fitted(backend, table(60), checkpoint=folder, resume=True)
    np.testing.assert_array_equal(again.history.step_loss, whole.history.step_loss)


def test_errors_are_one_line(backend, tmp_path):
    content = table(60)
    trained = fitted(backend, content)
    where = "the table in memory"
    assert rejection(trained.predict, TEST.slice(0, 0)) == f"{where}: expected rows, got none"
    assert rejection(trained.predict, TEST.drop_columns(["x"])).startswith(f"{where}: expected a column 'x', found id,")
    assert rejection(trained.evaluate, TEST.drop_columns(["low"])).startswith(f"{where}: expected a column 'low', ")
    assert rejection(trained.predict, tmp_path / "t.csv") == f"{tmp_path / 't.csv'}: expected a file, found none"
    assert rejection(fitted, backend, TEST.drop_columns(["click"])).startswith(f"{where}: expected a column 'click'")
    text = content.set_column(1, "x", pa.array(["much"] * 60))
    assert rejection(fitted, backend, text) == f"{where}: column 'x', row 1: expected a number, got 'much'"
    assert rejection(fit_table, NO_FILES, content, backend="none").startswith("backend: expected one of ")
    assert rejection(trained.predict, pd.Series([1.0])).startswith("rows: expected the names of files, a data frame")


@pytest.mark.parametrize(
    ("monitor", "fraction", "message"),
    [
        ("byu", 0.25, "early_stopping.monitor: expected one of click, price, region, mean, loss, got 'byu'"),
        ("click", 0.0, "early_stopping: expected validation rows to watch, got none"),
    ],
)
def test_early_stopping_is_checked_before_the_rows(backend, monitor, fraction, message):
    experiment = changed(NO_FILES, validation_fraction=fraction)
    train = replace(experiment.train, early_stopping=EarlyStopping(monitor=monitor))
    unreadable = TEST.drop_columns(["x"])
    assert rejection(fitted, backend, unreadable, replace(experiment, train=train)) == message


def test_unknown_values_are_warned_of_as_the_commands_do(backend):
    trained = fitted(backend, table(60))
    strange = TEST.set_column(TEST.column_names.index("colour"), "colour", [["?"] * TEST.num_rows])
    for answer in (trained.predict, trained.evaluate):
        with pytest.warns(DataWarning, match=r"column 'colour': \d+ of \d+ values are unknown \(100.0%"):
            answer(strange)
