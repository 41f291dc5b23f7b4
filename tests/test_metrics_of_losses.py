"""The metric `loss`: the mean of the training loss, by the predictions alone."""

import numpy as np
import pytest
from scipy import stats

from shared_bottom.run.metrics import Evaluation, UndefinedMetricWarning, evaluate
from spec import (
    CrossEntropy,
    Dataset,
    Huber,
    LogLoss,
    ModelSpec,
    Poisson,
    TaskSpec,
    ZeroInflatedLognormal,
)
from tests.helpers.plain_metrics import pieces

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
