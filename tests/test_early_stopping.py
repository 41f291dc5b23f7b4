"""Early stopping: what is watched, in which direction, when it stops, and whose weights are returned."""

import itertools
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.run.early_stopping import Monitor
from shared_bottom.run.metrics import UndefinedMetricWarning
from spec import Adam, EarlyStopping, initial_params
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, as_of, assert_same_run, short, steps_saved
from tests.helpers.parity import compare_params

FAST = Adam(learning_rate=0.05)
"""Random labels: the training rows are learned by heart within a few epochs."""


def overfitting(backend, monitor, metric=None, patience=3, epochs=14, **fields):
    stopping = EarlyStopping(monitor=monitor, metric=metric, patience=patience)
    return short(backend, optimizer=FAST, epochs=epochs, early_stopping=stopping, **fields)


@pytest.fixture
def halves(data):
    return data.take(slice(12)), data.take(slice(12, 20))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("monitor", "metric", "read", "best"),
    [
        ("buy", None, lambda m: m["buy"]["auc"], np.nanargmax),
        ("buy", "log_loss", lambda m: m["buy"]["log_loss"], np.nanargmin),
        ("price", None, lambda m: m["price"]["rmse"], np.nanargmin),
        ("price", "mae", lambda m: m["price"]["mae"], np.nanargmin),
        ("region", None, lambda m: m["region"]["accuracy"], np.nanargmax),
    ],
)
def test_the_best_epochs_weights_are_returned_whether_or_not_it_stopped(
    backend, model, halves, monitor, metric, read, best
):
    train, validation = halves
    for patience in (3, 14):
        spec = overfitting(backend, monitor, metric, patience)
        fitted = backend.fit(model, spec, train, validation)
        values = [read(epoch["metrics"]) for epoch in fitted.history.epochs]
        assert [epoch["monitor"] for epoch in fitted.history.epochs] == values
        found = fitted.history.best_epoch
        assert found == best(values) + 1  # the first of equals
        assert len(values) == min(found + patience, 14)
        assert len(fitted.history.step_loss) == 2 * len(values)
        shorter = backend.fit(model, replace(spec, epochs=found, early_stopping=None), train, validation)
        compare_params(fitted.params, shorter.params, 0)


@pytest.mark.parametrize("missing", [(), ("price",)])
def test_the_loss_is_the_total_over_the_validation_rows(backend, missing):
    labels = VALIDATION.labels | {task: np.full_like(VALIDATION.labels[task], np.nan) for task in missing}
    validation = replace(VALIDATION, labels=labels, sample_weight=np.arange(20.0))
    spec = overfitting(backend, "loss", epochs=2, precision="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        fitted = backend.fit(MODEL, spec, DATA, validation)
    params = backend.fit(MODEL, replace(spec, early_stopping=None), DATA).params
    total, _ = backend.gradients(MODEL, params, validation)
    assert fitted.history.epochs[1]["monitor"] == pytest.approx(total, rel=1e-9)


def test_the_mean_is_that_of_scores_without_a_unit(model, halves):
    _, validation = halves
    monitor = Monitor(model, EarlyStopping(monitor="mean"), validation)
    ours = {
        "click": {"auc": 0.6, "log_loss": 9.0},
        "buy": {"auc": 0.8, "log_loss": 9.0},
        "region": {"accuracy": 0.5, "log_loss": 9.0},
    }
    scores = [0.6, 0.8, 0.5]
    for name in ("price", "span"):
        label = validation.labels[name].reshape(8, -1)
        kept = ~np.isnan(label).any(axis=1) & (validation.sample_weight > 0)
        label, weight = label[kept], validation.sample_weight[kept]
        centre = (weight[:, None] * label).sum(axis=0) / weight.sum()
        variance = (weight[:, None] * (label - centre) ** 2).sum(axis=0) / weight.sum()
        ours[name] = {"rmse": 0.7, "mae": 9.0}
        scores.append(1 - 0.49 / variance.mean())
    assert monitor.value(ours) == pytest.approx(np.mean(scores), rel=1e-12)
    assert monitor.better(0.5, 0.4)
    in_pounds = Monitor(model, EarlyStopping(monitor="mean"), scaled(validation, 1000.0))
    ours |= {name: {"rmse": 700.0, "mae": 9.0} for name in ("price", "span")}
    assert in_pounds.value(ours) == pytest.approx(np.mean(scores), rel=1e-12)


def scaled(data, factor):
    labels = {name: data.labels[name] * factor for name in ("price", "span")}
    return replace(data, labels=data.labels | labels)


def test_the_mean_of_one_metric(model, halves):
    binary = replace(model, tasks=(model.tasks[0], model.tasks[2], model.tasks[3]))
    labels = {task.name: halves[1].labels[task.name] for task in binary.tasks}
    monitor = Monitor(binary, EarlyStopping(monitor="mean", metric="log_loss"), replace(halves[1], labels=labels))
    metrics = {task.name: {"log_loss": value} for task, value in zip(binary.tasks, (0.1, 0.2, 0.6), strict=True)}
    assert monitor.value(metrics) == pytest.approx(0.3)
    assert monitor.better(0.2, 0.3)
    assert not monitor.better(0.4, 0.3)


def test_nan_is_never_the_best_and_only_better_is_better(model, halves):
    for monitor, metric, higher in (("buy", "auc", True), ("price", "mae", False), ("loss", None, False)):
        found = Monitor(model, EarlyStopping(monitor=monitor, metric=metric), halves[1])
        for value, best in itertools.product((0.4, 0.5, float("nan")), (0.4, 0.5)):
            assert found.better(value, best) == (value > best if higher else value < best)
        assert found.better(0.5, None)
        assert not any(found.better(value, None) for value in (float("nan"), float("inf"), -float("inf")))


def test_without_a_value_it_stops_and_returns_the_last_weights(backend, model, halves):
    train, validation = halves
    one_class = replace(validation, labels=validation.labels | {"buy": np.ones(8)})
    with pytest.warns(UserWarning, match=r"buy\.auc is not defined"):
        fitted = backend.fit(model, overfitting(backend, "buy"), train, one_class)
    assert (fitted.history.best_epoch, len(fitted.history.epochs)) == (None, 3)
    plain = backend.fit(model, short(backend, optimizer=FAST, epochs=3), train)
    compare_params(fitted.params, plain.params, 0)


def test_a_resumed_run_knows_its_best_and_how_long_it_waited(backend, model, halves, tmp_path):
    train, validation = halves
    spec = overfitting(backend, "price", patience=4)
    options = {"save_every": 1, "keep": 99}
    whole = backend.fit(model, spec, train, validation, checkpoint=tmp_path / "alone", **options)
    best, end = whole.history.best_epoch, len(whole.history.epochs)
    assert end == best + 4 < 14
    assert steps_saved(tmp_path / "alone")[-1] == 2 * end
    for step in (2 * best, 2 * best + 3, 2 * end):
        own = as_of(tmp_path / "alone", step, tmp_path / f"{step}")
        resumed = backend.fit(model, spec, train, validation, checkpoint=own, resume=True, **options)
        assert_same_run(resumed, whole)
        compare_params(load_checkpoint(own, "best").params, whole.params, 0)


BAD = [
    ("by", None, "early_stopping.monitor: expected one of click, price, buy, region, span, mean, loss, got 'by'"),
    ("buy", "rmse", "early_stopping.metric: expected one of auc, log_loss with monitor 'buy', got 'rmse'"),
    ("loss", "auc", "early_stopping.metric: expected none with monitor 'loss', got 'auc'"),
    ("mean", "auc", "early_stopping.metric: expected none with monitor 'mean', got 'auc'"),
]


@pytest.mark.parametrize(("monitor", "metric", "message"), BAD)
def test_a_bad_name_is_rejected_before_any_work(backend, monkeypatch, model, data, monitor, metric, message):
    monkeypatch.setattr(backend, "trainer", None)
    with pytest.raises(ValueError, match=f"^{message}$"):
        backend.fit(model, overfitting(backend, monitor, metric), data, data)


def test_there_must_be_rows_and_labels_to_watch(backend, monkeypatch, model, data):
    monkeypatch.setattr(backend, "trainer", None)
    with pytest.raises(ValueError, match="early_stopping: expected validation rows to watch, got none"):
        backend.fit(model, overfitting(backend, "loss"), data, params=initial_params(model))
    none = replace(data, labels=data.labels | {"span": np.full(20, np.nan)})
    for monitor in ("span", "mean"):
        with pytest.raises(ValueError, match="early_stopping: expected a label of task 'span' in a validation row"):
            backend.fit(model, overfitting(backend, monitor), data, none)


def test_a_task_may_bear_the_words(model, data):
    named = replace(model, tasks=(replace(model.tasks[0], name="loss"),))
    rows = replace(data, labels={"loss": data.labels["click"]})
    monitor = Monitor(named, EarlyStopping(monitor="loss"), rows)
    assert monitor.value({"loss": {"auc": 0.7, "log_loss": 0.2}}) == 0.7


@pytest.mark.parametrize(
    ("monitor", "metric", "needed"),
    [("loss", None, False), ("price", None, False), ("mean", "rmse", False), ("mean", None, True)],
)
def test_how_the_labels_vary_is_computed_only_where_a_score_is_made_of_it(halves, model, monitor, metric, needed):
    """The variance of such labels cannot be computed without a warning, which is an error here."""
    numbers = replace(model, tasks=tuple(task for task in model.tasks if task.traits.label == "number"))
    labels = {task.name: np.sign(halves[1].labels[task.name]) * 1e200 for task in numbers.tasks}
    make = partial(Monitor, numbers, EarlyStopping(monitor=monitor, metric=metric), replace(halves[1], labels=labels))
    if needed:
        with pytest.raises(RuntimeWarning, match="overflow"):
            make()
    else:
        make()
