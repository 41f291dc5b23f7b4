"""Reports of tasks with every loss and with metrics on request."""

import warnings

import numpy as np
import pytest

from shared_bottom.reports import write_report
from shared_bottom.reports.page import best_epoch, metric_rows
from shared_bottom.reports.rows import rows_by_task
from shared_bottom.run.metrics import UndefinedMetricWarning, evaluate
from spec import Dataset, ModelSpec, TaskSpec, TrainSpec
from tests.helpers.histories import history_of

TASKS = (
    TaskSpec(name="click", kind="binary", more_metrics=("pr_auc", "calibration_error", "group_auc", "ndcg@2")),
    TaskSpec(name="buy", kind="binary", given="click", loss={"kind": "log_loss", "focal_gamma": 1.0}),
    TaskSpec(name="region", kind="multiclass", outputs=4, more_metrics=("top@3", "macro_f1")),
    TaskSpec(name="span", kind="regression", loss="quantile", more_metrics=("coverage@0.1",)),
    TaskSpec(name="visits", kind="regression", loss="poisson", outputs=2),
    TaskSpec(name="spent", kind="regression", loss="zero_inflated_lognormal", more_metrics=("r2", "mape")),
)
MODEL = ModelSpec(numeric=1, trunk=(1,), tasks=TASKS)
ROWS = 30


@pytest.fixture
def problem():
    """Rows, and predictions as a network gives them, with what they are made of."""
    draw = np.random.default_rng(0)
    labels = {
        "click": draw.integers(0, 2, ROWS),
        "buy": draw.integers(0, 2, ROWS),
        "region": draw.integers(0, 4, ROWS),
        "span": draw.normal(size=(ROWS, 1)),
        "visits": draw.poisson(2.0, (ROWS, 2)).astype(float),
        "spent": draw.exponential(size=(ROWS, 1)),
    }
    predictions = {
        "click": draw.random(ROWS),
        "buy": draw.random(ROWS),
        "buy_given_click": draw.random(ROWS),
        "region": draw.dirichlet(np.ones(4), ROWS),
        "span": draw.normal(size=(ROWS, 3)),
        "visits": draw.uniform(0.5, 4.0, (ROWS, 2)),
        "spent": draw.uniform(0.5, 4.0, (ROWS, 1)),
        **{f"spent_{part}": draw.uniform(0.2, 0.8, ROWS) for part in ("probability", "location", "scale")},
    }
    return Dataset(numeric=np.zeros((ROWS, 1)), labels=labels, group=np.arange(ROWS) % 4), predictions


@pytest.mark.slow
def test_a_report_has_every_metric_and_the_loss_of_the_epochs_alone(problem, tmp_path):
    data, predictions = problem
    metrics = evaluate(MODEL, predictions, data)
    history = history_of(MODEL, metrics=metrics)
    write_report(
        tmp_path,
        title="A run",
        model=MODEL,
        train=TrainSpec(batch_size=4, epochs=2),
        history=history,
        labels=data.labels,
        predictions=predictions,
        group=data.group,
        evaluated_on="validation rows",
    )
    page = (tmp_path / "report.html").read_text()
    rows = {
        (row.task, row.metric): row
        for row in metric_rows(history, rows_by_task(MODEL, data.labels, predictions, None, group=data.group))
    }
    assert list(rows) == [(task.name, metric) for task in TASKS for metric in task.metrics]
    for (task, metric), row in rows.items():
        assert f"<td>{metric}</td>" in page
        assert row.last == f"{metrics[task][metric]:.5g}"
        assert row.evaluated == ("–" if metric == "loss" else row.last)


def test_a_metric_without_a_direction_has_no_best_epoch():
    history = history_of(MODEL)
    assert best_epoch(history, "coverage@0.1", [1, 2], [0.2, 0.3]) is None
    assert best_epoch(history, "ndcg@2", [1, 2], [0.2, 0.3]) == 1
    assert best_epoch(history, "calibration_error", [1, 2], [0.2, 0.3]) == 0


def test_without_groups_a_report_has_dashes(problem):
    data, predictions = problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        history = history_of(MODEL, metrics=evaluate(MODEL, predictions, data))
    rows = metric_rows(history, rows_by_task(MODEL, data.labels, predictions, None))
    assert {row.metric for row in rows if row.evaluated == "–"} == {"group_auc", "ndcg@2", "loss"}


def test_groups_have_one_for_each_row(problem):
    data, predictions = problem
    with pytest.raises(ValueError, match=r"group: expected shape \(30,\), got \(29,\)"):
        rows_by_task(MODEL, data.labels, predictions, None, group=data.group[1:])
