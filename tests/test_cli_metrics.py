"""Metrics on request at the command line: asked for by a flag or in the file, printed, reported and written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.cli import EXPERIMENT, changed, error, fit, run, table, without_plots, write, write_experiment

GROUPED = changed(EXPERIMENT, group="colour")


def with_task(experiment, number, **fields):
    """The experiment with other fields of one of its tasks."""
    tasks = list(experiment.model.tasks)
    tasks[number] = replace(tasks[number], **fields)
    return replace(experiment, model=replace(experiment.model, tasks=tuple(tasks)))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    without_plots(monkeypatch)


def evaluated(folder, *arguments):
    run("evaluate", folder, "--json", folder / "metrics.json", *arguments)
    return json.loads((folder / "metrics.json").read_text())["metrics"]


def test_a_flag_asks_for_metrics(tmp_path, capsys):
    flags = ("--model.tasks.0.more-metrics", "pr_auc", "brier", "--model.tasks.2.more-metrics", "top@2")
    out = fit(write_experiment(tmp_path / "data"), tmp_path / "run", "torch", *flags)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("pr_auc", "brier", "top@2"))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert list(lines[-1]["metrics"]["click"]) == ["auc", "log_loss", "pr_auc", "brier"]
    page = (out / "report.html").read_text()
    assert all(f"<td>{name}</td>" in page for name in ("pr_auc", "brier", "top@2"))
    found = evaluated(out)
    assert list(found["region"]) == ["accuracy", "log_loss", "top@2"]
    assert found["region"]["accuracy"] <= found["region"]["top@2"] <= 1


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_metrics_within_groups_of_files(tmp_path, capsys, name):
    experiment = with_task(GROUPED, 0, more_metrics=("group_auc", "ndcg@5"))
    out = fit(write_experiment(tmp_path / "data", experiment), tmp_path / "run", "torch")
    assert "group_auc" in capsys.readouterr().out
    found = evaluated(out, "--data", write(tmp_path / name, table(40, seed=3)))["click"]
    assert 0 < found["group_auc"] < 1
    assert 0 < found["ndcg@5"] <= 1


@pytest.mark.filterwarnings("always::shared_bottom.run.metrics.UndefinedMetricWarning")
def test_groups_that_are_left_out_are_counted_on_standard_error(tmp_path, capsys):
    experiment = with_task(changed(EXPERIMENT, group="id"), 0, more_metrics=("group_auc",))
    out = fit(write_experiment(tmp_path / "data", experiment), tmp_path / "run", "torch", "--quiet")
    rows = table(12, seed=3)
    identity = np.array([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7])
    click = np.array([True, False, True, True, False, True, False, False, True, False, True, True])
    for column, values in (("id", identity), ("click", click)):
        rows = rows.set_column(rows.column_names.index(column), column, [values])
    capsys.readouterr()
    found = evaluated(out, "--data", write(tmp_path / "rows.csv", rows))["click"]
    assert found["group_auc"] is not None
    assert "metric click.group_auc: 4 of 7 groups have one class and are left out" in capsys.readouterr().err


def test_a_bad_metric_is_one_line(tmp_path, capsys):
    file = write_experiment(tmp_path / "data")
    out = ("--out", tmp_path / "run")
    line = error(capsys, "fit", file, *out, "--model.tasks.0.more-metrics", "f1")
    assert line.endswith(
        "more_metrics: expected some of auc, log_loss, pr_auc, brier, calibration_error, group_auc, ndcg@K for the "
        "task 'click', got 'f1'"
    )
    line = error(capsys, "fit", file, *out, "--model.tasks.0.more-metrics", "group_auc")
    assert line == "data.group: expected the column of the rows' groups for the metric click.group_auc, got none"
    line = error(capsys, "fit", file, *out, "--data.group", "user")
    assert line.startswith(f"{file.parent / 'train.csv'}: expected a column 'user', found ")
    line = error(capsys, "fit", file, *out, "--model.tasks.2.more-metrics", "top@3", "--no-cache")
    assert "more_metrics: expected a K below the 3 classes of the task 'region', got 'top@3'" in line
    flags = ("--model.tasks.0.more-metrics", "ndcg@5", "--data.group", "colour")
    line = error(
        capsys,
        "fit",
        file,
        *out,
        *flags,
        "--train.early-stopping.monitor",
        "click",
        "--train.early-stopping.metric",
        "mae",
    )
    assert line.endswith("expected one of auc, log_loss, ndcg@5 with monitor 'click', got 'mae'")
    assert not (tmp_path / "run").exists()


def test_files_without_the_column_of_groups_cannot_be_evaluated(tmp_path, capsys):
    out = fit(
        write_experiment(tmp_path / "data", changed(EXPERIMENT, group="id")), tmp_path / "run", "torch", "--quiet"
    )
    rows = write(tmp_path / "rows.csv", table(9).drop_columns(["id"]))
    assert error(capsys, "evaluate", out, "--data", rows).startswith(f"{rows}: expected a column 'id', found ")
    run("predict", out, rows, "--out", tmp_path / "predictions.csv")


def test_flags_may_ask_for_a_loss_and_the_metrics_that_it_alone_has(tmp_path, capsys):
    """The file's metrics fit its loss, and the flags' the flags'."""
    labels = EXPERIMENT.data.labels | {"price": replace(EXPERIMENT.data.labels["price"], columns=("low",))}
    experiment = with_task(changed(EXPERIMENT, labels=labels), 1, outputs=1, more_metrics=("r2",))
    file, flags = write_experiment(tmp_path / "data", experiment), ("--model.tasks.1.loss.kind", "quantile")
    line = error(capsys, "fit", file, "--out", tmp_path / "run", *flags)
    assert line.endswith("coverage@0.1, coverage@0.5, coverage@0.9 for the task 'price', got 'r2'")
    flags = (*flags, "--model.tasks.1.loss.levels", "0.2", "0.8", "--model.tasks.1.more-metrics", "coverage@0.8")
    out = fit(file, tmp_path / "run", "torch", "--quiet", *flags)
    found = evaluated(out)["price"]
    assert list(found) == ["pinball", "coverage_error", "coverage@0.8"]
    assert 0 <= found["coverage@0.8"] <= 1
