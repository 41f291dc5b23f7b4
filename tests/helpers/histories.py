"""Runs made by hand: what a report is written of."""

import numpy as np

from spec.results import History


def history_of(model, *, steps=6, epochs=2, more=0, metrics=None, best_epoch=None):
    """A run of `epochs` epochs of `steps` steps and `more` of the next, with falling losses and moving weights."""
    total = steps * epochs + more
    task_loss = {task.name: (i + 1) / (1.0 + np.arange(total)) for i, task in enumerate(model.tasks)}
    task_weight = {task.name: task.weight + 0.1 * np.arange(total) for task in model.tasks}
    step_loss = sum(task_weight[name] * task_loss[name] for name in task_loss)
    entries = []
    for e in range(epochs):
        span = slice(e * steps, (e + 1) * steps)
        means = {name: float(loss[span].mean()) for name, loss in task_loss.items()}
        entry = {"epoch": e + 1, "step": span.stop, "loss": float(step_loss[span].mean()), "task_loss": means}
        entries.append(entry | {"seconds": 1.5} | ({"metrics": metrics} if metrics else {}))
    return History(
        execution="epoch",
        device="cpu",
        step_loss=step_loss,
        task_loss=task_loss,
        task_weight=task_weight,
        epochs=entries,
        best_epoch=best_epoch,
    )


def predictions_of(model, rows, seed=0):
    """Something that a network could have predicted."""
    draw = np.random.default_rng(seed)
    found = {}
    for task in model.tasks:
        found[task.name] = draw.uniform(0.01, 0.99, (rows,) if task.kind == "binary" else (rows, task.outputs))
        if task.kind == "multiclass":
            found[task.name] /= found[task.name].sum(axis=1, keepdims=True)
    return found
