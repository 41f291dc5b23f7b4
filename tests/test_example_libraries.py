"""The examples that put the project to work with other people's libraries: Optuna, scikit-learn, MLflow."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from shared_bottom import read_table_experiment, read_trained
from spec import to_toml

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs an example in a folder of its own, on the first rows of the clicks and for two epochs."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("*.parquet"))
    text = (folder / "examples" / "clicks.toml").read_text()
    (folder / "examples" / "clicks.toml").write_text(text.replace("epochs = 8", "epochs = 2"))

    def run_example(name, *arguments):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, f"examples/{name}.py", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run_example("clicks")
    return folder, run_example


def rows_of(database, query):
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()


def test_a_search_keeps_its_trials_goes_on_and_writes_the_best_experiment(run):
    folder, run_example = run
    run_example("search", "--backend", "jax", "--trials", "2")
    run_example("search", "--backend", "jax", "--trials", "3")
    states = rows_of(folder / "search.db", "select state from trials")
    assert len(states) == 3
    ((best,),) = rows_of(folder / "search.db", "select max(value) from trial_values")
    assert 0.7 < best < 0.9
    written = read_table_experiment(folder / "examples" / "clicks_best.toml")
    assert written.train.optimizer.kind == "adamw"
    ((rate,),) = rows_of(
        folder / "search.db",
        "select param_value from trial_params where param_name = 'learning_rate' and trial_id = "
        "(select trial_id from trial_values order by value desc limit 1)",
    )
    assert written.train.optimizer.learning_rate == rate
    assert written.data == read_table_experiment(folder / "examples" / "clicks.toml").data


def test_a_search_of_several_objectives_prints_all_trade_offs(run):
    _, run_example = run
    said = run_example("search", "--backend", "jax", "--trials", "2", "--objectives", "click.auc", "spend.rmse")
    assert all(re.match(r"\[0\.\d+, \d\.\d+\] \{'learning_rate': ", line) for line in said.splitlines())
    assert 1 <= len(said.splitlines()) <= 2


def test_cross_validation_gives_mean_and_deviation_of_each_metric(run):
    _, run_example = run
    said = run_example("cross_validate", "--backend", "jax", "--folds", "2").splitlines()
    assert [line.split(":")[0] for line in said] == ["click auc", "click log_loss", "spend rmse", "spend mae"]
    assert all(re.search(r": \d+\.\d{4} ± \d+\.\d{4} over 2 folds$", line) for line in said)


def test_a_tracked_run_has_parameters_epochs_and_the_model(run):
    folder, run_example = run
    said = run_example("track", "--backend", "jax")
    (tracked,) = folder.glob(f"mlruns/*/{said.split()[1]}")
    experiment = read_table_experiment(folder / "examples" / "clicks.toml")
    assert (tracked / "artifacts" / "experiment.toml").read_text() == to_toml(experiment)
    assert (tracked / "params" / "train.optimizer.learning_rate").read_text() == "0.003"
    epochs = (tracked / "metrics" / "click auc").read_text().splitlines()
    assert [line.split()[-1] for line in epochs] == ["1", "2"]
    assert (tracked / "metrics" / "test spend rmse").is_file()
    assert read_trained(tracked / "artifacts").model.tasks == experiment.model.tasks
