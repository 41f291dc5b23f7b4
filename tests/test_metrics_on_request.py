"""Each metric on request, and those of each loss, by scikit-learn or formulas in NumPy: weighted, with missing labels,
of all rows at once and of pieces."""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared_bottom.reports.classes import class_rows
from shared_bottom.reports.rows import rows_by_task
from shared_bottom.run.early_stopping import check_stopping
from shared_bottom.run.metrics import Evaluation, UndefinedMetricWarning, evaluate
from shared_bottom.tables.checks import check_columns
from spec import (
    Dataset,
    Experiment,
    ModelSpec,
    TableExperiment,
    TaskSpec,
    from_json,
    from_toml,
    to_json,
    to_toml,
)
from spec.metrics import HIGHER_IS_BETTER, higher_is_better, split_metric
from spec.tasks import TASK_KINDS
from tests.helpers.plain_metrics import (
    FORMULAS,
    ROWS,
    TASKS,
    counted,
    group_auc,
    ndcg,
    pieces,
    problem,
)


@pytest.fixture
def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        yield


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("name", TASKS)
def test_formulas_whatever_the_pieces(name, missing, weighted):
    model, predictions, data = problem(name, missing=missing, weighted=weighted)
    expected = FORMULAS[name](*counted(data, predictions["a"]))
    found = evaluate(model, predictions, data)["a"]
    assert tuple(found) == model.tasks[0].metrics
    assert {type(value) for value in found.values()} == {float}
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-14)
    for size in (1, 7, 59):
        of_pieces = Evaluation(model, pieces(data, predictions, size)).metrics()["a"]
        assert of_pieces == pytest.approx(expected, rel=1e-12, abs=1e-14)


DTYPES = {
    "binary": ("bool", "uint8", "int64", "float32"),
    "multiclass": ("uint64", "uint8", "int16"),
    "poisson": ("uint8", "int32", "float32"),
}


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, dtypes in DTYPES.items() for dtype in dtypes])
def test_labels_may_be_of_any_type(name, dtype):
    model, predictions, data = problem(name, missing=False)
    typed = replace(data, labels={"a": data.labels["a"].astype(dtype)})
    typed.check(model)
    assert evaluate(model, predictions, typed)["a"] == pytest.approx(evaluate(model, predictions, data)["a"], rel=1e-12)
    rows = rows_by_task(model, typed.labels, predictions, typed.sample_weight)
    assert len(list(class_rows(rows))) == (5 if name == "multiclass" else 0)


def test_what_is_asked_for_is_written_and_read():
    model = ModelSpec(
        numeric=1, trunk=(1,), tasks=tuple(replace(t, name=f"t{i}") for i, t in enumerate(TASKS.values()))
    )
    experiment = Experiment(model=model)
    assert from_toml(Experiment, to_toml(experiment)) == experiment
    assert from_json(Experiment, to_json(experiment)) == experiment


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("weight", [1e308, 5e-324])
@pytest.mark.parametrize("name", TASKS)
def test_weights_of_any_size_count_as_even_ones(name, weight):
    model, predictions, data = problem(name, weighted=False)
    of_size = replace(data, sample_weight=np.full(ROWS, weight))
    expected = evaluate(model, predictions, data)["a"]
    assert evaluate(model, predictions, of_size)["a"] == pytest.approx(expected, rel=1e-12)


def test_r2_loses_no_digits_where_labels_are_far_from_zero():
    model, predictions, data = problem("regression", missing=False)
    near = evaluate(model, predictions, data)["a"]["r2"]
    far = replace(data, labels={"a": data.labels["a"] + 2.0**20})
    found = Evaluation(model, pieces(far, {"a": predictions["a"] + 2.0**20}, 7)).metrics()["a"]["r2"]
    assert found == pytest.approx(near, rel=1e-9)


UNDEFINED = [
    ("binary", {"labels": {"a": np.zeros(ROWS)}}, "a.pr_auc is not defined: all 60 labels are 0"),
    (
        "regression",
        {"labels": {"a": np.full((ROWS, 2), 0.1)}},
        "a.r2 is not defined: all labels of an output are equal",
    ),
    ("regression", {"labels": {"a": np.eye(ROWS)[:, [0, 0]] * [1, 0]}}, "a.mape is not defined: all labels of an"),
    ("binary", {"group": None}, "a.group_auc is not defined: the rows have no groups: neither Dataset.group nor"),
    ("binary", {"group": np.full(ROWS, -1)}, "a.group_auc is not defined: no row is in a group"),
    ("binary", {"group": np.arange(ROWS)}, "a.group_auc is not defined: all 60 groups have one class"),
    ("binary", {"group": np.arange(ROWS)}, "a.ndcg@3 is not defined: all 60 groups have one row or no label above 0"),
]


@pytest.mark.parametrize(("name", "changes", "message"), UNDEFINED)
def test_what_has_no_value_is_nan_and_says_why(name, changes, message):
    model, predictions, data = problem(name, missing=False, weighted=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = Evaluation(model, pieces(replace(data, **changes), predictions, 7)).metrics()["a"]
    said = [str(warning.message).removeprefix("metric ") for warning in caught]
    assert [line for line in said if line.startswith(message)]
    assert np.isnan(found[message.split()[0].removeprefix("a.")])
    assert sum(np.isnan(value) for value in found.values()) == len([line for line in said if "not defined" in line])


def test_groups_that_cannot_be_compared_are_counted():
    model, _, data = problem("binary", missing=False, weighted=False)
    label, group = np.array([0, 1, 1, 0, 1, 1, 0.0]), np.array([5, 5, 7, 8, 8, 9, -2])
    predicted = np.array([0.2, 0.7, 0.9, 0.6, 0.4, 0.5, 0.1])
    rows = replace(data.take(slice(7)), labels={"a": label}, group=group, sample_weight=np.array([1, 1, 1, 3, 1, 1, 1]))
    with pytest.warns(UndefinedMetricWarning) as caught:
        found = evaluate(model, {"a": predicted}, rows)["a"]
    assert [str(warning.message) for warning in caught] == [
        "metric a.group_auc: 2 of 4 groups have one class and are left out",
        "metric a.ndcg@3: 2 of 4 groups have one row or no label above 0 and are left out",
    ]
    assert found["group_auc"] == pytest.approx((2 * 1.0 + 4 * 0.0) / 6)
    assert found["ndcg@3"] == pytest.approx((2 * 1.0 + 4 / np.log2(3)) / 6)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("name", ["binary", "poisson"])
def test_ties_within_groups_count_as_scikit_learn_counts_them(name, count):
    draw, rows = np.random.default_rng(count), 600
    label, p = draw.integers(0, 2 if name == "binary" else 4, rows).astype(float), draw.uniform(size=rows).round(1)
    w, g = draw.uniform(0.1, 3.0, rows), draw.integers(0, 90, rows)
    task = TaskSpec(name="a", kind="binary", more_metrics=("group_auc", f"ndcg@{count}"))
    if name == "poisson":
        task, p = TaskSpec(name="a", kind="regression", loss="poisson", more_metrics=(f"ndcg@{count}",)), p + 0.1
    predicted = p.reshape(rows, -1) if name == "poisson" else p
    data = Dataset(numeric=np.zeros((rows, 1)), labels={"a": label}, sample_weight=w, group=g)
    found = evaluate(ModelSpec(numeric=1, trunk=(1,), tasks=(task,)), {"a": predicted.astype(np.float32)}, data)["a"]
    assert found[f"ndcg@{count}"] == pytest.approx(ndcg(label, p, w, g, count), rel=1e-12)
    if name == "binary":
        assert found["group_auc"] == pytest.approx(group_auc(label, p, w, g), rel=1e-12)


@pytest.mark.usefixtures("silent")
def test_groups_may_be_integers_or_texts_of_any_type():
    model, predictions, data = problem("binary")
    expected = evaluate(model, predictions, data)["a"]
    texts = np.array(["" if group < 0 else f"u{group}" for group in data.group])
    there = data.group >= 0
    masked = np.ma.array(np.where(there, data.group, 3).astype(np.uint8), mask=~there)
    for group in (texts, texts.astype(object), texts.astype(bytes), data.group.astype(np.int8), masked):
        assert evaluate(model, predictions, replace(data, group=group))["a"] == pytest.approx(expected, rel=1e-12)


def test_every_metric_has_a_direction_or_says_that_it_has_none():
    assert (higher_is_better("ndcg@10"), higher_is_better("rmse"), higher_is_better("coverage@0.1")) == (
        True,
        False,
        None,
    )
    of_kinds = {
        split_metric(m)[0] for kind in TASK_KINDS.values() for m in (*kind.metrics, *kind.more_metrics) if "@" not in m
    }
    assert of_kinds < HIGHER_IS_BETTER.keys()
    assert split_metric("coverage@0.25") == ("coverage", 0.25)


BAD = [
    ({"kind": "binary"}, "f1", "some of auc, log_loss, pr_auc, brier, calibration_error, group_auc, ndcg@K for"),
    ({"kind": "binary"}, "ndcg@K", "some of auc, log_loss"),
    ({"kind": "binary"}, "ndcg@0", "some of auc, log_loss"),
    ({"kind": "binary"}, "loss", "some of auc, log_loss"),
    ({"kind": "multiclass", "outputs": 4}, "top@4", "a K below the 4 classes of the task 'a', got 'top@4'"),
    ({"kind": "multiclass", "outputs": 4}, "pr_auc", "some of accuracy, log_loss, top@K, macro_f1 for"),
    ({"kind": "regression"}, "ndcg@5", "some of rmse, mae, r2, mape for"),
    (
        {"kind": "regression", "loss": "quantile"},
        "rmse",
        "some of pinball, coverage_error, coverage@0.1, coverage@0.5,",
    ),
    ({"kind": "regression", "loss": "quantile"}, "coverage@0.3", "some of pinball, coverage_error, coverage@0.1"),
    ({"kind": "regression", "loss": "poisson"}, "group_auc", "some of rmse, mae, r2, mape, ndcg@K, loss for"),
    ({"kind": "regression", "loss": "poisson", "outputs": 2}, "ndcg@5", "some of rmse, mae, r2, mape, loss for"),
]


@pytest.mark.parametrize(("fields", "metric", "expected"), BAD)
def test_a_metric_that_the_task_does_not_have_is_an_error_that_lists_those_that_it_has(fields, metric, expected):
    with pytest.raises(ValueError, match=r"more_metrics: expected ") as caught:
        TaskSpec(name="a", more_metrics=(metric,), **fields)
    assert f"more_metrics: expected {expected}" in str(caught.value)
    assert f"got {metric!r}" in str(caught.value)


def test_what_is_not_asked_for_changes_nothing():
    for kind, expected in {
        "binary": ("auc", "log_loss"),
        "regression": ("rmse", "mae"),
        "multiclass": ("accuracy", "log_loss"),
    }.items():
        task = TaskSpec(name="a", kind=kind, outputs=3 if kind == "multiclass" else 1)
        assert task.metrics == expected
        assert replace(task, more_metrics=expected).metrics == expected


def test_the_page_of_metrics_names_each_and_its_example_is_valid():
    page = (Path(__file__).parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
    names = {f"{name}@K" for name in ("ndcg", "top")} | {"coverage@LEVEL"}
    names |= HIGHER_IS_BETTER.keys() - {"ndcg", "top", "coverage"}
    assert {name for name in names if f"`{name}`" not in page} == set()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    rest = '[model]\ntrunk = [4]\n[data.labels.click]\ncolumns = ["click"]\n[[data.numeric]]\nname = "x"\n'
    experiment = from_toml(TableExperiment, example + rest)
    check_columns(experiment.data, experiment.model.tasks)
    check_stopping(experiment.train, experiment.model.tasks, validation=True)
