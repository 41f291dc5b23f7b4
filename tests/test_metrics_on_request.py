"""Each metric on request, and those of each loss, by scikit-learn or formulas in NumPy: weighted, with missing labels,
of all rows at once and of pieces."""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as judge

from shared_bottom.reports.classes import class_rows
from shared_bottom.reports.rows import rows_by_task
from shared_bottom.run.early_stopping import check_stopping
from shared_bottom.run.metrics import Evaluation, UndefinedMetricWarning, evaluate
from shared_bottom.tables.checks import check_columns
from spec import (
    CrossEntropy,
    Dataset,
    Experiment,
    Huber,
    LogLoss,
    ModelSpec,
    Poisson,
    Quantile,
    TableExperiment,
    TaskSpec,
    ZeroInflatedLognormal,
    from_json,
    from_toml,
    to_json,
    to_toml,
)
from spec.metrics import HIGHER_IS_BETTER, higher_is_better, split_metric
from spec.tasks import TASK_KINDS

ROWS = 60
QUANTILE = Quantile(levels=(0.2, 0.5, 0.9))
TASKS = {
    "binary": TaskSpec(
        name="a", kind="binary", more_metrics=("pr_auc", "brier", "calibration_error", "group_auc", "ndcg@3")
    ),
    "multiclass": TaskSpec(
        name="a", kind="multiclass", outputs=5, more_metrics=("top@1", "top@2", "top@4", "macro_f1")
    ),
    "two classes": TaskSpec(name="a", kind="multiclass", outputs=2, more_metrics=("top@1", "macro_f1")),
    "regression": TaskSpec(name="a", kind="regression", outputs=2, more_metrics=("r2", "mape")),
    "quantile": TaskSpec(name="a", kind="regression", loss=QUANTILE, more_metrics=("coverage@0.2", "coverage@0.9")),
    "poisson": TaskSpec(name="a", kind="regression", loss="poisson", more_metrics=("ndcg@4", "r2")),
}


def problem(name, *, missing=True, weighted=True, seed=0):
    """The predictions and rows of a task: some without a label, some of no group, one of weight 0."""
    draw, task = np.random.default_rng(seed), TASKS[name]
    match name:
        case "binary":
            predicted, label = draw.uniform(size=ROWS).round(1), draw.integers(0, 2, ROWS).astype(float)
        case "multiclass" | "two classes":
            predicted = draw.dirichlet(np.ones(task.outputs), ROWS)
            label = draw.integers(0, max(task.outputs - 1, 2), ROWS)
        case "regression":
            predicted, label = draw.normal(size=(2, ROWS, 2))
            label[::7, 0] = 0.0
        case "quantile":
            predicted, label = draw.normal(size=(ROWS, 3)), draw.normal(size=(ROWS, 1))
        case "poisson":
            predicted, label = draw.uniform(0.1, 3.0, (ROWS, 1)), draw.poisson(1.0, (ROWS, 1)).astype(float)
    if missing:
        label[[1, 8, 40]] = task.traits.missing_label
    weight = draw.uniform(0.1, 3.0, ROWS) if weighted else None
    if weighted:
        weight[3] = 0.0
    group = np.where(np.arange(ROWS) % 11 == 0, -1, draw.integers(0, 12, ROWS))
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(task,))
    data = Dataset(numeric=np.zeros((ROWS, 1)), labels={"a": label}, sample_weight=weight, group=group)
    return model, {"a": predicted}, data


def pieces(data, predictions, size):
    for start in range(0, data.rows, size):
        rows = slice(start, start + size)
        yield data.take(rows), {name: values[rows] for name, values in predictions.items()}


def counted(data, predicted):
    """Labels, predictions, weights and groups of the rows that count."""
    label, weight = data.labels["a"], np.ones(ROWS) if data.sample_weight is None else data.sample_weight
    present = ~np.isnan(label) if label.dtype.kind == "f" else label >= 0
    keep = (present.all(axis=1) if label.ndim == 2 else present) & (weight > 0)
    return label[keep], predicted[keep], weight[keep], data.group[keep]


def calibration_error(y, p, w):
    """Guo et al. (2017), eq. 3, by their words: a bin's weight, and its mean label less its mean prediction."""
    error = 0.0
    for lower in range(15):
        inside = (p > lower / 15) & (p <= (lower + 1) / 15) | ((lower == 0) & (p == 0))
        if inside.any():
            gap = np.average(y[inside], weights=w[inside]) - np.average(p[inside], weights=w[inside])
            error += w[inside].sum() / w.sum() * abs(gap)
    return error


def over_groups(g, w, value):
    """The mean of `value(rows)` over the groups that have one, by their weights."""
    members = [np.flatnonzero(g == one) for one in np.unique(g[g >= 0])]
    found = [(value(rows), w[rows].sum()) for rows in members]
    values, weights = zip(*[(v, of_group) for v, of_group in found if v is not None], strict=True)
    return np.average(values, weights=weights)


def group_auc(y, p, w, g):
    return over_groups(
        g,
        w,
        lambda r: judge.roc_auc_score(y[r], p[r], sample_weight=w[r]) if len(set(y[r])) > 1 else None,
    )


def ndcg(y, p, w, g, k):
    return over_groups(
        g,
        w,
        lambda r: judge.ndcg_score([y[r]], [p[r]], k=k) if len(r) > 1 and y[r].max() > 0 else None,
    )


def mape(y, p, w):
    errors = []
    for output in range(y.shape[1]):
        there = y[:, output] != 0
        one = judge.mean_absolute_percentage_error(y[there, output], p[there, output], sample_weight=w[there])
        errors.append(one)
    return np.mean(errors)


FORMULAS = {
    "binary": lambda y, p, w, g: {
        "auc": judge.roc_auc_score(y, p, sample_weight=w),
        "log_loss": judge.log_loss(y, p, sample_weight=w),
        "pr_auc": judge.average_precision_score(y, p, sample_weight=w),
        "brier": judge.brier_score_loss(y, p, sample_weight=w),
        "calibration_error": calibration_error(y, p, w),
        "group_auc": group_auc(y, p, w, g),
        "ndcg@3": ndcg(y, p, w, g, 3),
    },
    "multiclass": lambda y, p, w, g: {
        "accuracy": judge.accuracy_score(y, p.argmax(1), sample_weight=w),
        "log_loss": judge.log_loss(y, p, sample_weight=w, labels=range(5)),
        "top@1": judge.accuracy_score(y, p.argmax(1), sample_weight=w),
        "top@2": judge.top_k_accuracy_score(y, p, k=2, sample_weight=w, labels=range(5)),
        "top@4": judge.top_k_accuracy_score(y, p, k=4, sample_weight=w, labels=range(5)),
        "macro_f1": judge.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
    },
    "two classes": lambda y, p, w, g: {
        "accuracy": judge.accuracy_score(y, p.argmax(1), sample_weight=w),
        "log_loss": judge.log_loss(y, p, sample_weight=w, labels=range(2)),
        "top@1": judge.accuracy_score(y, p.argmax(1), sample_weight=w),
        "macro_f1": judge.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
    },
    "regression": lambda y, p, w, g: {
        "rmse": judge.mean_squared_error(y, p, sample_weight=w) ** 0.5,
        "mae": judge.mean_absolute_error(y, p, sample_weight=w),
        "r2": judge.r2_score(y, p, sample_weight=w),
        "mape": mape(y, p, w),
    },
    "quantile": lambda y, p, w, g: {
        "pinball": np.mean(
            [judge.mean_pinball_loss(y[:, 0], p[:, i], alpha=t, sample_weight=w) for i, t in enumerate((0.2, 0.5, 0.9))]
        ),
        "coverage_error": np.abs(np.average(y <= p, axis=0, weights=w) - (0.2, 0.5, 0.9)).mean(),
        "coverage@0.2": np.average(y[:, 0] <= p[:, 0], weights=w),
        "coverage@0.9": np.average(y[:, 0] <= p[:, 2], weights=w),
    },
    "poisson": lambda y, p, w, g: {
        "rmse": judge.mean_squared_error(y, p, sample_weight=w) ** 0.5,
        "mae": judge.mean_absolute_error(y, p, sample_weight=w),
        "ndcg@4": ndcg(y[:, 0], p[:, 0], w, g, 4),
        "r2": judge.r2_score(y, p, sample_weight=w),
        "loss": np.average((p - y * np.log(p))[:, 0], weights=w),
    },
}


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


LOSSES = {
    "positive weight": (
        TaskSpec(name="a", kind="binary", loss=LogLoss(positive_weight=3.0)),
        lambda y, p: -(3 * y * np.log(p) + (1 - y) * np.log(1 - p)),
    ),
    "smoothed": (
        TaskSpec(name="a", kind="binary", loss=LogLoss(label_smoothing=0.2)),
        lambda y, p: -((0.8 * y + 0.1) * np.log(p) + (0.9 - 0.8 * y) * np.log(1 - p)),
    ),
    "focal": (
        TaskSpec(name="a", kind="binary", loss=LogLoss(focal_gamma=2.0)),
        lambda y, p: -np.where(y == 1, (1 - p) ** 2 * np.log(p), p**2 * np.log(1 - p)),
    ),
    "class weights": (
        TaskSpec(name="a", kind="multiclass", outputs=3, loss=CrossEntropy(class_weights=(1.0, 2.0, 0.0))),
        lambda y, p: -np.array([1.0, 2.0, 0.0])[y] * np.log(p[np.arange(len(y)), y]),
    ),
    "smoothed classes": (
        TaskSpec(name="a", kind="multiclass", outputs=3, loss=CrossEntropy(label_smoothing=0.3)),
        lambda y, p: -(0.7 * np.eye(3)[y] + 0.1) @ np.ones(3) * 0 - ((0.7 * np.eye(3)[y] + 0.1) * np.log(p)).sum(1),
    ),
    "huber": (
        TaskSpec(name="a", kind="regression", outputs=2, loss=Huber(delta=0.5)),
        lambda y, z: np.where(abs(z - y) <= 0.5, (z - y) ** 2 / 2, 0.5 * (abs(z - y) - 0.25)).mean(axis=1),
    ),
    "poisson": (
        TaskSpec(name="a", kind="regression", loss=Poisson()),
        lambda y, mean: (
            -stats.poisson.logpmf(y[:, 0], mean[:, 0]) - np.array([0.0, 0.0, np.log(2)])[y[:, 0].astype(int)]
        ),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_the_formula(name):
    task, formula = LOSSES[name]
    draw, rows = np.random.default_rng(5), 30
    shape = (rows, task.outputs) if task.traits.label_per_output else (rows,)
    label = {"truth": draw.integers(0, 2, shape), "class": draw.integers(0, 3, shape)}.get(task.traits.label)
    label = draw.integers(0, 3, shape).astype(float) if label is None else label
    predicted = draw.dirichlet(np.ones(3), rows) if task.kind == "multiclass" else draw.uniform(0.05, 0.95, shape)
    weight = draw.uniform(0.1, 2.0, rows)
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(task,))
    data = Dataset(numeric=np.zeros((rows, 1)), labels={"a": label}, sample_weight=weight)
    expected = np.average(formula(label, predicted), weights=weight)
    for size in (4, rows):
        found = Evaluation(model, pieces(data, {"a": predicted}, size)).metrics()["a"]
        assert list(found)[-1] == "loss"
        assert found["loss"] == pytest.approx(expected, rel=1e-12)


def test_the_loss_of_a_zero_inflated_lognormal_is_that_of_its_parts():
    task = TaskSpec(name="a", kind="regression", loss=ZeroInflatedLognormal())
    draw, rows = np.random.default_rng(6), 30
    p, location, scale = draw.uniform(0.1, 0.9, rows), draw.normal(size=rows), draw.uniform(0.2, 2.0, rows)
    amount = np.where(draw.random(rows) < 0.4, 0.0, draw.lognormal(size=rows))
    amount[0] = np.nan
    density = stats.lognorm.logpdf(np.where(amount > 0, amount, 1.0), scale, scale=np.exp(location))
    of_rows = -np.where(amount > 0, np.log(p) + density, np.log(1 - p))
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(task,))
    data = Dataset(numeric=np.zeros((rows, 1)), labels={"a": amount})
    mean = (p * np.exp(location + scale**2 / 2))[:, None]
    predictions = {"a": mean, "a_probability": p, "a_location": location, "a_scale": scale}
    found = evaluate(model, predictions, data)["a"]
    assert list(found) == ["rmse", "mae", "loss"]
    assert found["loss"] == pytest.approx(of_rows[1:].mean(), rel=1e-12)
    with pytest.warns(UndefinedMetricWarning, match="a prediction is not finite"):  # a mean may overflow
        beyond = evaluate(model, predictions | {"a": np.full((rows, 1), np.inf)}, data)["a"]
    assert np.isnan([beyond["rmse"], beyond["mae"]]).all()
    assert beyond["loss"] == found["loss"]


@pytest.mark.parametrize("name", ["focal", "class weights", "poisson"])
def test_a_certain_prediction_that_is_wrong_has_a_finite_loss(name):
    task, _ = LOSSES[name]
    predicted = {"truth": np.array([0.0, 1.0]), "class": np.eye(3)[[1, 0]], "number": np.zeros((2, 1))}
    label = {"truth": np.array([1, 0]), "class": np.array([0, 1]), "number": np.array([1.0, 2.0])}
    data = Dataset(numeric=np.zeros((2, 1)), labels={"a": label[task.traits.label]})
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(task,))
    assert 10 < evaluate(model, {"a": predicted[task.traits.label]}, data)["a"]["loss"] < 2000


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
