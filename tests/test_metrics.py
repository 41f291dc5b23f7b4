"""Metrics against formulas written out in NumPy, with row weights and missing labels; and what has no value."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.run.metrics import UndefinedMetricWarning, evaluate
from spec import Dataset, ModelSpec, TaskSpec, TrainSpec

ROWS = 40
TASKS = {
    "binary": TaskSpec(name="a", kind="binary"),
    "flat": TaskSpec(name="a", kind="regression"),
    "wide": TaskSpec(name="a", kind="regression", outputs=3),
    "multiclass": TaskSpec(name="a", kind="multiclass", outputs=4),
}
METRIC_NAMES = {
    "binary": ["auc", "log_loss"],
    "multiclass": ["accuracy", "log_loss"],
    "regression": ["rmse", "mae"],
}


def problem(name, *, missing=(), weighted=False, seed=0):
    """A task's predictions and labels; those of the rows `missing` are marked so."""
    draw, task = np.random.default_rng(seed), TASKS[name]
    if task.kind == "binary":
        predicted, label = draw.uniform(0.1, 0.9, ROWS).round(1), draw.integers(0, 2, ROWS).astype(float)
    elif task.kind == "regression":
        predicted, label = draw.normal(size=(2, ROWS, task.outputs))
        label = label if task.outputs > 1 else label[:, 0]
    else:
        predicted, label = draw.dirichlet(np.ones(4), ROWS), draw.integers(0, 3, ROWS)  # class 3 never occurs
    rows = list(missing)
    if task.kind == "multiclass":
        label[rows] = -1
    elif task.outputs > 1:
        label[rows, 1] = np.nan  # one of its outputs is enough
    else:
        label[rows] = np.nan
    weight = draw.uniform(0.1, 3.0, ROWS) if weighted else None
    if weighted:
        weight[3] = 0.0
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(task,))
    return model, predicted, Dataset(numeric=np.zeros((ROWS, 1)), labels={"a": label}, sample_weight=weight)


def mean(values, weight):
    return (values * weight).sum() / weight.sum()


def auc(label, p, weight):
    """The weighted share of pairs (positive, negative) in their right order, ties counting half."""
    pairs = weight[label == 1][:, None] * weight[label == 0]
    gap = p[label == 1][:, None] - p[label == 0]
    return (pairs * ((gap > 0) + 0.5 * (gap == 0))).sum() / pairs.sum()


FORMULAS = {
    "binary": lambda y, p, w: {"auc": auc(y, p, w), "log_loss": mean(-np.log(np.where(y == 1, p, 1 - p)), w)},
    "multiclass": lambda y, p, w: {
        "accuracy": mean(p.argmax(axis=1) == y, w),
        "log_loss": mean(-np.log(p[np.arange(len(y)), y]), w),
    },
    "regression": lambda y, p, w: {
        "rmse": np.sqrt(mean(((p - y) ** 2).mean(axis=1), w)),
        "mae": mean(np.abs(p - y).mean(axis=1), w),
    },
}


@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("missing", [(), (0, 7, 8, 39)], ids=["complete", "missing"])
@pytest.mark.parametrize("name", TASKS)
def test_formulas(name, missing, weighted):
    model, predicted, data = problem(name, missing=missing, weighted=weighted)
    kept = np.setdiff1d(np.arange(ROWS), missing)
    label, p = data.labels["a"][kept], predicted[kept]
    weight = data.sample_weight[kept] if weighted else np.ones(len(kept))
    expected = FORMULAS[TASKS[name].kind](label.reshape(p.shape) if name == "flat" else label, p, weight)
    found = evaluate(model, {"a": predicted}, data)
    assert list(found) == ["a"]
    assert list(found["a"]) == METRIC_NAMES[TASKS[name].kind]
    assert {type(value) for value in found["a"].values()} == {float}
    assert found["a"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_weight_counts_as_a_sample_weight_does_and_a_masked_label_as_a_missing_one(name):
    model, predicted, data = problem(name, missing=(0, 5), weighted=True)
    expected = evaluate(model, {"a": predicted}, data)
    of_task = replace(data, sample_weight=None, task_weight={"a": data.sample_weight})
    assert evaluate(model, {"a": predicted}, of_task) == expected
    both = replace(data, sample_weight=np.full(ROWS, 2.0), task_weight={"a": data.sample_weight})
    assert evaluate(model, {"a": predicted}, both)["a"] == pytest.approx(expected["a"], rel=1e-12)
    label = data.labels["a"]
    missing = label == model.tasks[0].traits.missing_label
    masked = np.ma.array(np.nan_to_num(label, nan=1.0), mask=missing | np.isnan(label))
    assert evaluate(model, {"a": predicted}, replace(data, labels={"a": masked})) == expected


@pytest.mark.parametrize("name", TASKS)
def test_what_is_missing_does_not_count(name):
    model, predicted, data = problem(name, missing=(0, 1, 2), weighted=True)
    changed = predicted.copy()
    changed[:4] = np.roll(changed[:4], 1, axis=0) * 0.5  # the rows without a label, and row 3, whose weight is 0
    assert evaluate(model, {"a": changed}, data) == evaluate(model, {"a": predicted}, data)
    changed[4:8] = np.roll(changed[4:8], 1, axis=0) * 0.5
    assert evaluate(model, {"a": changed}, data) != evaluate(model, {"a": predicted}, data)


@pytest.mark.parametrize("weight", [1e308, 5e-324, 2**62])
@pytest.mark.parametrize("name", TASKS)
def test_weights_of_any_size_count_as_even_ones(name, weight):
    model, predicted, data = problem(name)
    expected = evaluate(model, {"a": predicted}, data)["a"]
    of_size = replace(data, sample_weight=np.full(ROWS, weight))
    assert evaluate(model, {"a": predicted}, of_size)["a"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", TASKS)
def test_float32_predictions(name):
    model, predicted, data = problem(name)
    rough, exact = (evaluate(model, {"a": predicted.astype(dtype)}, data)["a"] for dtype in (np.float32, np.float64))
    assert rough == pytest.approx(exact, rel=1e-5)


def test_a_certain_prediction_has_a_finite_log_loss():
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(TASKS["binary"],))
    data = Dataset(numeric=np.zeros((2, 1)), labels={"a": np.array([0.0, 1.0])})
    found = evaluate(model, {"a": np.array([1.0, 1.0], np.float32)}, data)["a"]
    assert 10 < found["log_loss"] < 100
    assert found["auc"] == 0.5


def test_tasks_do_not_mix():
    parts = {name: problem(name, missing=(i,)) for i, name in enumerate(TASKS)}
    tasks = tuple(replace(TASKS[name], name=name) for name in parts)
    data = Dataset(numeric=np.zeros((ROWS, 1)), labels={name: part[2].labels["a"] for name, part in parts.items()})
    together = evaluate(
        ModelSpec(numeric=1, trunk=(1,), tasks=tasks), {name: part[1] for name, part in parts.items()}, data
    )
    assert together == {name: evaluate(own, {"a": p}, rows)["a"] for name, (own, p, rows) in parts.items()}


@pytest.mark.parametrize("dtype", [float, int, bool])
@pytest.mark.parametrize("only", [0, 1])
def test_auc_of_one_class_is_nan(only, dtype):
    model, predicted, data = problem("binary")
    data = replace(data, labels={"a": np.full(ROWS, only, dtype)})
    with pytest.warns(UndefinedMetricWarning, match=r"a\.auc is not defined: all 40 labels are") as caught:
        found = evaluate(model, {"a": predicted}, data)["a"]
    assert len(caught) == 1
    assert np.isnan(found["auc"])
    assert found["log_loss"] == pytest.approx(-np.log(predicted if only else 1 - predicted).mean())


@pytest.mark.parametrize("how", ["labels", "weights"])
@pytest.mark.parametrize("name", TASKS)
def test_a_task_without_any_label_is_nan(name, how):
    if how == "labels":
        model, predicted, data = problem(name, missing=range(ROWS))
    else:  # the only row with a weight has no label
        model, predicted, data = problem(name, missing=(5,))
        data = replace(data, sample_weight=np.eye(ROWS)[5])
    with pytest.warns(UndefinedMetricWarning, match="no row has a label and a weight") as caught:
        found = evaluate(model, {"a": predicted}, data)["a"]
    assert list(found) == METRIC_NAMES[TASKS[name].kind]
    assert np.isnan(list(found.values())).all()
    assert len(caught) == 2


def test_an_undefined_metric_warns_once_a_run(backend):
    tasks = (TaskSpec(name="one_class", kind="binary"), TaskSpec(name="no_label", kind="regression"))
    model = ModelSpec(numeric=1, trunk=(2,), tasks=tasks)
    labels = {"one_class": np.array([0, 1, 0, 1]), "no_label": np.ones(4)}
    data = Dataset(numeric=np.arange(4.0)[:, None], labels=labels)
    validation = replace(data, labels={"one_class": np.ones(4), "no_label": np.full(4, np.nan)})
    train = TrainSpec(batch_size=4, epochs=3, execution="eager", device="cpu")
    for _ in range(2):  # once each run, not once each process
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = backend.fit(model, train, data, validation)
        messages = [str(warning.message) for warning in caught if warning.category is UndefinedMetricWarning]
        assert sorted(message.split()[1] for message in messages) == ["no_label.mae", "no_label.rmse", "one_class.auc"]
        assert [entry["metrics"]["one_class"]["auc"] for entry in fitted.history.epochs] == pytest.approx(
            [np.nan] * 3, nan_ok=True
        )
        assert all(np.isfinite(entry["metrics"]["one_class"]["log_loss"]) for entry in fitted.history.epochs)
