"""Histories and predictions that no training made, for the tests of the reports."""

import numpy as np

from spec.results import History


def history_of(model, *, steps=6, epochs=2, more=0, metrics=None, best_epoch=None):
    """The history of a run in which the losses fall and the weights of the tasks change.

    steps: the number of steps in an epoch.
    epochs: the number of epochs that ended.
    more: the number of steps after the last of these epochs.
    metrics: the validation metrics of every epoch, by task and name; None for no metrics.
    best_epoch: the epoch that early stopping chose.
    """
    total = steps * epochs + more
    task_loss = {task.name: (i + 1) / (1.0 + np.arange(total)) for i, task in enumerate(model.tasks)}
    task_weight = {task.name: task.weight + 0.1 * np.arange(total) for task in model.tasks}
    step_loss = sum(task_weight[name] * task_loss[name] for name in task_loss)
    entries = []
    for epoch in range(epochs):
        epoch_steps = slice(epoch * steps, (epoch + 1) * steps)
        means = {name: float(loss[epoch_steps].mean()) for name, loss in task_loss.items()}
        mean = float(step_loss[epoch_steps].mean())
        entry = {"epoch": epoch + 1, "step": epoch_steps.stop, "loss": mean, "task_loss": means}
        entries.append(entry | {"seconds": 1.5} | ({"metrics": metrics} if metrics else {}))
    return History(
        execution="epoch",
        device="cpu",
        threads=1,
        step_loss=step_loss,
        task_loss=task_loss,
        task_weight=task_weight,
        epochs=entries,
        best_epoch=best_epoch,
    )


def predictions_of(model, rows, seed=0):
    """Random predictions, by task, of the shapes and values that a network could predict for `rows` rows."""
    generator = np.random.default_rng(seed)
    predictions = {}
    for task in model.tasks:
        shape = (rows, task.outputs) if task.prediction_per_output else (rows,)
        values = generator.uniform(0.01, 0.99, shape)
        if task.objective.link == "softmax":
            values /= values.sum(axis=1, keepdims=True)
        predictions[task.name] = values
    return predictions
