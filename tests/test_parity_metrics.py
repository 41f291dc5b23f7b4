"""After training, all backends predict the same and report the same metrics: those that scikit-learn gives."""

import numpy as np
import pytest
from sklearn import metrics

from spec import SGD, Schedule, TrainSpec, load_backend
from tests.helpers.backends import each_pair
from tests.helpers.parity import KINDS, compare_params, example_data, example_model

RTOL = 1e-9


def judged(task, predicted, label, weight):
    """The task's metrics by scikit-learn on the rows that have the label."""
    if task.kind == "regression":
        label = label.reshape(predicted.shape)
        kept = ~np.isnan(label).any(axis=1)
    else:
        kept = label >= 0  # NaN is not
    label, predicted, weights = label[kept], predicted[kept], {"sample_weight": weight[kept]}
    if task.kind == "regression":
        rmse = metrics.root_mean_squared_error(label, predicted, multioutput="raw_values", **weights)
        found = {"rmse": np.sqrt((rmse**2).mean()), "mae": metrics.mean_absolute_error(label, predicted, **weights)}
    elif task.kind == "binary":
        auc = metrics.roc_auc_score(label, predicted, **weights)
        found = {"auc": auc, "log_loss": metrics.log_loss(label, predicted, **weights)}
    else:
        accuracy = metrics.accuracy_score(label, predicted.argmax(axis=1), **weights)
        found = {
            "accuracy": accuracy,
            "log_loss": metrics.log_loss(label, predicted, labels=range(task.outputs), **weights),
        }
    return {f"{task.name} {name}": np.array([value]) for name, value in found.items()}


def reported(entry):
    """An epoch's metrics as arrays by task and name."""
    return {
        f"{task} {name}": np.array([value]) for task, own in entry["metrics"].items() for name, value in own.items()
    }


@each_pair
@pytest.mark.parametrize("kinds", KINDS)
def test_predictions_and_metrics_after_training(kinds, pair):
    model = example_model(kinds, normalization="layer", dropout=0.1)
    train = TrainSpec(
        optimizer=SGD(learning_rate=0.05, momentum=0.9),
        schedule=Schedule(kind="linear"),
        batch_size=16,
        epochs=3,
        seed=2,
        precision="float64",
        device="cpu",
    )
    data, validation = (example_data(model, rows, missing=True, weighted=True, seed=rows) for rows in (90, 70))
    runs, predictions = {}, {}
    for name in pair:
        backend = load_backend(name)
        runs[name] = backend.fit(model, train, data, validation)
        predictions[name] = backend.predict(model, runs[name].params, validation, device="cpu")
    compare_params(*predictions.values(), RTOL)
    epochs = [run.history.epochs for run in runs.values()]
    assert reported(epochs[0][0]) != reported(epochs[0][2])  # they are those of the epoch
    for one, other in zip(*epochs, strict=True):
        compare_params(reported(one), reported(other), RTOL)
    for name, history in zip(runs, epochs, strict=True):
        judge = {}
        for task in model.tasks:
            label = validation.labels[task.name]
            weight = validation.sample_weight * validation.task_weight.get(task.name, 1.0)
            judge |= judged(task, predictions[name][task.name], label, weight)
        compare_params(reported(history[-1]), judge, 1e-12)
