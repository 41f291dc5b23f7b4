"""A run by epochs, as lines of JSON."""

import json
import math
from typing import Any

import numpy as np

from spec.results import History


def steps_per_epoch(history: History) -> int | None:
    """Steps of an epoch; None if none has ended."""
    return history.epochs[0]["step"] if history.epochs else None


def loss_curves(history: History) -> dict[str, np.ndarray]:
    """The total loss, then each task's, by name; a task may be called total, and then the total is not."""
    total = "all tasks" if "total" in history.task_loss else "total"
    return {total: history.step_loss} | history.task_loss


def epoch_lines(history: History, after: int = 0) -> str:
    """A JSON object a line for each epoch after the first `after` ones; what is not finite is null."""
    lines = []
    for entry in history.epochs[after:]:
        line = {
            "epoch": entry["epoch"],
            "step": entry["step"],
            "loss": entry["loss"],
            "task_loss": entry["task_loss"],
            "task_weight": {task: float(weight[entry["step"] - 1]) for task, weight in history.task_weight.items()},
            "metrics": entry.get("metrics", {}),
            "seconds": entry["seconds"],
        }
        lines.append(json.dumps(_finite(line), allow_nan=False) + "\n")
    return "".join(lines)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
