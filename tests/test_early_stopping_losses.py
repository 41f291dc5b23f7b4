"""Early stopping by every loss and by metrics on request: the loss is training's, the mean rises to 1, and a metric is
watched in its direction."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import d2_pinball_score, mean_pinball_loss

from shared_bottom.run.early_stopping import Monitor, check_stopping
from shared_bottom.run.metrics import evaluate
from spec import (
    Absolute,
    CrossEntropy,
    Dataset,
    EarlyStopping,
    Huber,
    LogLoss,
    ModelSpec,
    Poisson,
    Quantile,
    Squared,
    TaskSpec,
    TrainSpec,
    ZeroInflatedLognormal,
    initial_params,
    presets,
)
from tests.helpers.checkpoints import assert_same_run

LOSSES = {
    "log loss": ("binary", LogLoss()),
    "positive weight": ("binary", LogLoss(positive_weight=4.0)),
    "smoothed": ("binary", LogLoss(label_smoothing=0.1)),
    "focal": ("binary", LogLoss(focal_gamma=2.0, positive_weight=0.5)),
    "cross-entropy": ("multiclass", CrossEntropy()),
    "class weights": ("multiclass", CrossEntropy(class_weights=(1.0, 0.0, 3.0), label_smoothing=0.2)),
    "squared": ("regression", Squared()),
    "absolute": ("regression", Absolute()),
    "huber": ("regression", Huber(delta=0.4)),
    "poisson": ("regression", Poisson()),
    "quantile": ("regression", Quantile(levels=(0.1, 0.3, 0.8))),
    "lognormal": ("regression", ZeroInflatedLognormal()),
}
OUTPUTS = {"squared": 2, "huber": 2, "poisson": 2}


def problem(tasks):
    """A network of these tasks, and rows: some weigh nothing, some labels are missing, none is negative."""
    model = ModelSpec(numeric=3, trunk=(5,), tasks=tasks, activation="tanh")
    rows = presets.random_data(model, 40, seed=2)
    labels = {}
    for task in tasks:
        label = np.array(rows.labels[task.name], dtype=int if task.kind == "multiclass" else float)
        if task.objective.non_negative:
            label = np.maximum(label, 0.0).round(1)
        label[[3, 17]] = task.traits.missing_label
        labels[task.name] = label
    weight = np.random.default_rng(1).uniform(0.1, 3.0, 40)
    weight[7] = 0.0
    return model, replace(rows, labels=labels, sample_weight=weight)


@pytest.mark.parametrize(
    ("name", "given"),
    [(name, None) for name in LOSSES] + [(name, "two") for name, (kind, _) in LOSSES.items() if kind == "binary"],
)
def test_the_loss_that_is_watched_is_the_one_that_training_minimizes(backend, name, given):
    kind, loss = LOSSES[name]
    outputs = 3 if kind == "multiclass" else OUTPUTS.get(name, 1)
    tasks = (
        TaskSpec(name="one", kind=kind, loss=loss, outputs=outputs, weight=0.7, given=given),
        TaskSpec(name="two", kind="binary", hidden=(4,)),
    )
    model, data = problem(tasks)
    params = initial_params(model, seed=3, precision="float64")
    metrics = evaluate(model, backend.predict(model, params, data, device="cpu"), data)
    total, _ = backend.gradients(model, params, data, device="cpu")
    assert Monitor(model, EarlyStopping(), data).value(metrics) == pytest.approx(total, rel=1e-9)


def quantiles(levels=(0.1, 0.5, 0.9)):
    task = TaskSpec(name="a", kind="regression", loss=Quantile(levels=levels), more_metrics=(f"coverage@{levels[0]}",))
    draw = np.random.default_rng(4)
    label, weight = draw.exponential(size=(50, 1)), draw.uniform(0.1, 2.0, 50)
    label[5] = np.nan
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(task,))
    return model, Dataset(numeric=np.zeros((50, 1)), labels={"a": label}, sample_weight=weight)


def test_the_mean_of_quantiles_is_the_share_of_the_pinball_loss_that_they_explain():
    model, data = quantiles(levels=(0.3,))
    kept = ~np.isnan(data.labels["a"][:, 0])
    label, weight = data.labels["a"][kept, 0], data.sample_weight[kept]
    predicted = np.random.default_rng(5).exponential(size=(50, 1))
    monitor = Monitor(model, EarlyStopping(monitor="mean"), data)
    score = d2_pinball_score(label, predicted[kept, 0], sample_weight=weight, alpha=0.3)
    assert monitor.value(evaluate(model, {"a": predicted}, data)) == pytest.approx(score, rel=1e-9)
    assert monitor.value(evaluate(model, {"a": np.nan_to_num(data.labels["a"])}, data)) == 1.0
    assert monitor.higher


def test_the_mean_of_several_quantiles_is_0_for_the_labels_own():
    model, data = quantiles()
    kept = ~np.isnan(data.labels["a"][:, 0])
    label, weight = data.labels["a"][kept, 0], data.sample_weight[kept]
    best = [
        min(label, key=lambda z: mean_pinball_loss(label, np.full(49, z), sample_weight=weight, alpha=level))
        for level in (0.1, 0.5, 0.9)
    ]
    found = evaluate(model, {"a": np.tile(best, (50, 1))}, data)
    assert Monitor(model, EarlyStopping(monitor="mean"), data).value(found) == pytest.approx(0.0, abs=1e-12)
    assert Monitor(model, EarlyStopping(monitor="a"), data).value(found) == found["a"]["pinball"]


def test_labels_that_are_all_equal_explain_nothing():
    for loss, name in ((None, "rmse"), ("quantile", "pinball")):
        model = ModelSpec(numeric=1, trunk=(1,), tasks=(TaskSpec(name="a", kind="regression", loss=loss),))
        data = Dataset(numeric=np.zeros((9, 1)), labels={"a": np.full(9, 0.1)})
        monitor = Monitor(model, EarlyStopping(monitor="mean"), data)
        assert np.isnan(monitor.value({"a": {name: 0.5}}))


@pytest.mark.parametrize(
    ("kind", "loss", "metric", "higher"),
    [
        ("binary", None, "pr_auc", True),
        ("binary", None, "calibration_error", False),
        ("binary", None, "ndcg@5", True),
        ("multiclass", None, "top@2", True),
        ("multiclass", "cross_entropy", "macro_f1", True),
        ("regression", None, "r2", True),
        ("regression", None, "mape", False),
        ("regression", "quantile", "coverage_error", False),
        ("regression", "huber", "loss", False),
    ],
)
def test_a_metric_is_watched_in_its_direction(kind, loss, metric, higher):
    outputs = 4 if kind == "multiclass" else 1
    asked = () if metric in ("coverage_error", "loss") else (metric,)
    task = TaskSpec(name="a", kind=kind, outputs=outputs, loss=loss, more_metrics=asked)
    model, data = problem((task,))
    for monitor in ("a", "mean"):
        watch = Monitor(model, EarlyStopping(monitor=monitor, metric=metric), data)
        assert watch.higher == higher
        assert watch.value({"a": dict.fromkeys(task.metrics, 0.0) | {metric: 0.3}}) == pytest.approx(0.3)
        assert watch.better(0.4, 0.3) == higher


def test_what_has_no_direction_is_not_watched():
    model, _ = quantiles()
    train = TrainSpec(early_stopping=EarlyStopping(monitor="a", metric="coverage@0.1"))
    message = r"early_stopping.metric: expected one of which a higher or a lower value is better, got 'coverage@0.1'"
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_stopping(train, model.tasks, validation=True)


GROUPED = ModelSpec(
    numeric=3,
    trunk=(3,),
    tasks=(TaskSpec(name="click", kind="binary", more_metrics=("pr_auc", "group_auc", "ndcg@5")),),
)


def test_metrics_on_request_are_in_the_history_and_choose_the_best_epoch(backend):
    rows = presets.random_data(GROUPED, 60, seed=1)
    validation = replace(presets.random_data(GROUPED, 80, seed=2), group=np.arange(80) % 7)
    stopping = EarlyStopping(monitor="click", metric="ndcg@5", patience=4)
    train = TrainSpec(batch_size=20, epochs=4, device="cpu", execution="eager", early_stopping=stopping)
    history = backend.fit(GROUPED, train, rows, validation).history
    values = [epoch["metrics"]["click"]["ndcg@5"] for epoch in history.epochs]
    assert [epoch["monitor"] for epoch in history.epochs] == values
    assert history.best_epoch == int(np.argmax(values)) + 1
    assert list(history.epochs[0]["metrics"]["click"]) == ["auc", "log_loss", "pr_auc", "group_auc", "ndcg@5"]


def test_a_metric_within_groups_needs_the_groups_of_the_validation_rows(backend, monkeypatch):
    monkeypatch.setattr(backend, "trainer", None)
    rows = presets.random_data(GROUPED, 20, seed=1)
    train = TrainSpec(device="cpu", execution="eager")
    message = "^group: expected that of each validation row for the metric click.group_auc, got none$"
    with pytest.raises(ValueError, match=message):
        backend.fit(GROUPED, train, rows, rows)


def test_a_resumed_run_has_the_metrics_on_request_and_the_same_groups(backend, tmp_path):
    rows = presets.random_data(GROUPED, 40, seed=1)
    validation = replace(presets.random_data(GROUPED, 30, seed=2), group=np.array(["ann", "bob", "cleo"] * 10))
    stopping = EarlyStopping(monitor="click", metric="group_auc", patience=9)
    train = TrainSpec(batch_size=20, epochs=2, device="cpu", execution="eager", early_stopping=stopping)
    backend.fit(GROUPED, train, rows, validation, checkpoint=tmp_path)
    longer = replace(train, epochs=4)
    resumed = backend.fit(GROUPED, longer, rows, validation, checkpoint=tmp_path, resume=True)
    assert_same_run(resumed, backend.fit(GROUPED, longer, rows, validation))
    others = replace(validation, group=validation.group[::-1])
    with pytest.raises(ValueError, match=r"got another: validation\.group\.sha256: \w+ saved, \w+ now"):
        backend.fit(GROUPED, longer, rows, others, checkpoint=tmp_path, resume=True)
