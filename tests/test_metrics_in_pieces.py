"""Metrics of rows that come a piece at a time are scikit-learn's for all rows at once."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error, roc_auc_score

from shared_bottom.run import early_stopping, metrics
from shared_bottom.run.early_stopping import Monitor
from shared_bottom.run.metrics import Evaluation, UndefinedMetricWarning, evaluate
from spec import Dataset, EarlyStopping, ModelSpec, TaskSpec, initial_params, presets
from spec.data import label_present
from tests.helpers.mapped import on_disk
from tests.helpers.strategies import repeatable

TASKS = (
    TaskSpec(name="binary", kind="binary"),
    TaskSpec(name="flat", kind="regression"),
    TaskSpec(name="wide", kind="regression", outputs=3),
    TaskSpec(name="multiclass", kind="multiclass", outputs=4),
)
MODEL = ModelSpec(numeric=1, trunk=(1,), tasks=TASKS)


def rows_of(seed, rows, missing, weighted, dtype, ties, classes):
    """Predictions and labels of all tasks, of which a share is missing."""
    draw = np.random.default_rng(seed)
    labels = presets.random_data(MODEL, rows, seed=seed).labels | {"binary": draw.integers(0, classes, rows)}
    gone = {name: draw.uniform(size=rows) < missing for name in labels}
    for task in TASKS:
        label = labels[task.name].astype(int if task.kind == "multiclass" else float)
        label[gone[task.name]] = task.traits.missing_label
        labels[task.name] = label
    logits = draw.normal(size=(rows, 4))
    predictions = {
        "binary": draw.uniform(0.01, 0.99, rows).round(1 if ties else 9),
        "flat": draw.normal(size=(rows, 1)),
        "wide": draw.normal(size=(rows, 3)),
        "multiclass": np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
    }
    weight = draw.uniform(0.1, 3.0, rows) * (draw.uniform(size=rows) < 0.8) if weighted else None
    data = Dataset(numeric=np.zeros((rows, 1)), labels=labels, sample_weight=weight)
    return data, {name: values.astype(dtype) for name, values in predictions.items()}


def by_scikit_learn(data, predictions):
    """The metrics of all rows at once; NaN where scikit-learn has no value."""
    expected = {}
    for task in TASKS:
        counts = label_present(data.labels[task.name], task)
        weight = np.ones(data.rows) if data.sample_weight is None else data.sample_weight
        counts &= weight > 0
        label, weight = data.labels[task.name][counts], weight[counts]
        p = predictions[task.name][counts].astype(float)
        if task.kind == "multiclass":
            p = p / p.sum(axis=1, keepdims=True)
        functions = {
            "auc": lambda y, p, w: roc_auc_score(y, p, sample_weight=w) if len(set(y)) > 1 else np.nan,
            "accuracy": lambda y, p, w: accuracy_score(y, p.argmax(axis=1), sample_weight=w),
            "log_loss": lambda y, p, w: log_loss(y, p, sample_weight=w, labels=range(2 if p.ndim == 1 else 4)),
            "rmse": lambda y, p, w: mean_squared_error(y, p, sample_weight=w) ** 0.5,
            "mae": lambda y, p, w: mean_absolute_error(y, p, sample_weight=w),
        }
        expected[task.name] = {
            name: functions[name](label, p, weight) if len(label) else np.nan for name in task.metrics
        }
    return expected


def pieces_of(data, predictions, size):
    for start in range(0, data.rows, size):
        rows = slice(start, start + size)
        yield data.take(rows), {name: values[rows] for name, values in predictions.items()}


@repeatable
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 60),
    size=st.integers(1, 70),
    missing=st.sampled_from([0.0, 0.3, 0.95, 1.0]),
    weighted=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    ties=st.booleans(),
    classes=st.sampled_from([1, 2]),
)
def test_the_metrics_are_scikit_learns_whatever_the_pieces(size, **of_rows):
    data, predictions = rows_of(**of_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        evaluation = Evaluation(MODEL, pieces_of(data, predictions, size))
        found, at_once = evaluation.metrics(), evaluate(MODEL, predictions, data)
    for task, expected in by_scikit_learn(data, predictions).items():
        assert found[task] == pytest.approx(expected, rel=1e-12, nan_ok=True)
        assert at_once[task] == pytest.approx(expected, rel=1e-14, nan_ok=True)
    assert evaluation.rows == data.rows
    for task in TASKS:
        present = label_present(data.labels[task.name], task)
        assert evaluation.labelled[task.name] == present.sum()
        counts = present if data.sample_weight is None else present & (data.sample_weight > 0)
        assert evaluation.tasks[task.name].rows == counts.sum()


@pytest.mark.parametrize("size", [1, 7, 40])
def test_an_undefined_metric_warns_once_however_many_pieces(size):
    data, predictions = rows_of(0, 40, 0.0, False, "float32", False, 1)
    data = replace(data, labels=data.labels | {"flat": np.full(40, np.nan)})
    predictions["wide"][33] = np.nan
    with pytest.warns(UndefinedMetricWarning) as caught:
        found = Evaluation(MODEL, pieces_of(data, predictions, size)).metrics()
    assert sorted(str(warning.message).removeprefix("metric ") for warning in caught) == [
        "binary.auc is not defined: all 40 labels are 0",
        "flat.mae is not defined: no row has a label and a weight",
        "flat.rmse is not defined: no row has a label and a weight",
        "wide.mae is not defined: a prediction is not finite",
        "wide.rmse is not defined: a prediction is not finite",
    ]
    assert np.isnan([found["binary"]["auc"], *found["flat"].values(), *found["wide"].values()]).all()
    assert np.isfinite([found["binary"]["log_loss"], *found["multiclass"].values()]).all()


@pytest.mark.parametrize("size", [1, 7, 40])
def test_weights_of_any_size_count_by_their_ratios(size):
    data, predictions = rows_of(3, 40, 0.1, False, "float64", False, 2)
    relative = np.random.default_rng(0).integers(1, 8, 40).astype(float)
    expected = evaluate(MODEL, predictions, replace(data, sample_weight=relative))
    for factor in (5e-324, 2.0**1020):
        of_size = replace(data, sample_weight=relative * factor)
        found = Evaluation(MODEL, pieces_of(of_size, predictions, size)).metrics()
        for task in expected:
            assert found[task] == pytest.approx(expected[task], rel=1e-12)
    of_both_sizes = replace(data, sample_weight=np.where(np.arange(40) < 20, 5e-324, relative))
    found = Evaluation(MODEL, pieces_of(of_both_sizes, predictions, size)).metrics()
    large = replace(data, sample_weight=np.where(np.arange(40) < 20, 0.0, relative))
    for task, expected_of_task in evaluate(MODEL, predictions, large).items():
        assert found[task] == pytest.approx(expected_of_task, rel=1e-12)


@pytest.mark.parametrize("mapped", [False, True], ids=["in memory", "mapped"])
def test_a_network_is_evaluated_in_pieces_as_at_once(backend, tmp_path, monkeypatch, model, data, mapped):
    params = initial_params(model, seed=1)
    expected = evaluate(model, backend.predict(model, params, data, device="cpu"), data)
    monkeypatch.setattr(metrics, "PREDICT_ROWS", 1)
    monkeypatch.setattr(metrics, "PREDICTED", 3 * sum(task.outputs for task in model.tasks))
    rows = on_disk(data, tmp_path) if mapped else data
    pieces = list(metrics.predicted(backend, model, params, rows, "cpu", None))
    assert [len(piece.numeric) for piece, _ in pieces] == [3] * 6 + [2]
    found = Evaluation(model, pieces).metrics()
    for task in expected:
        assert found[task] == pytest.approx(expected[task], rel=1e-6)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_what_early_stopping_watches_does_not_depend_on_the_pieces(monkeypatch, model, data, size):
    values = {task.name: dict.fromkeys(task.metrics, 0.7) for task in model.tasks}
    expected = Monitor(model, EarlyStopping(monitor="mean"), data).value(values)
    monkeypatch.setattr(early_stopping, "PIECE_ROWS", size)
    assert Monitor(model, EarlyStopping(monitor="mean"), data).value(values) == pytest.approx(expected, rel=1e-12)
    none = replace(data, labels=data.labels | {"span": np.full(20, np.nan)})
    with pytest.raises(ValueError, match="early_stopping: expected a label of task 'span' in a validation row"):
        Monitor(model, EarlyStopping(monitor="mean"), none)
