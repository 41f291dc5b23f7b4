"""The curves of a run, one in each panel: losses and task weights over the steps, metrics over the epochs."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import uniform_filter1d

from shared_bottom.reports.epochs import loss_curves, steps_per_epoch
from shared_bottom.reports.style import DENSE, FAINT, INK, colours, panels
from spec.results import History

SMOOTHED = 200
"""The number of steps from which on a loss is drawn with a running mean, whose window is a fiftieth of the steps."""
MARKED = 30
"""The largest number of epochs, or of steps, for which each is marked."""
FEW_TASKS = 6
"""The largest number of tasks for which all metrics are drawn. With more tasks, only the main metric of each is."""
HUGE = 1e100
"""A larger loss is left out, as one that is not finite is, because no axis could show it together with the others."""
LOGARITHMIC = 50
"""The axis of a loss is logarithmic if the largest value is more than this many times the smallest. If there is a
running mean, its values are compared."""


def losses(history: History) -> Figure:
    """The total loss, and the loss of each task before its weight, over the steps.

    A loss that is not finite or too large to be shown is a gap in the curve, and the panel says how many there are.
    """
    curves, colour = loss_curves(history), colours(history.task_loss)
    figure, axes = panels(list(curves), _step_label(history), "loss")
    for panel, (name, curve) in zip(axes, curves.items(), strict=False):
        _draw_loss(panel, curve, colour.get(name, INK))
        _mark_epochs(panel, history)
    return figure


def task_weights(history: History) -> Figure:
    """The weight of each task in the total loss, over the steps."""
    figure, axes = panels(list(history.task_weight), _step_label(history), "weight", height=0.45, sharey=True)
    colour = colours(history.task_weight)
    for panel, (name, curve) in zip(axes, history.task_weight.items(), strict=False):
        _draw_line(panel, curve, colour[name])
        _mark_epochs(panel, history)
    largest = max(float(np.nanmax(curve, initial=0.0)) for curve in history.task_weight.values())
    if math.isfinite(largest):
        axes[0].set_ylim(0.0, 1.1 * largest or 1.0)  # the panels share this axis
    return figure


def metrics(history: History) -> Figure | None:
    """The validation metrics of each task over the epochs; None if the run computed no metrics."""
    entries = [entry for entry in history.epochs if "metrics" in entry]
    if not entries:
        return None
    first_metrics = entries[0]["metrics"]
    metrics_per_task = None if len(first_metrics) <= FEW_TASKS else 1
    pairs = [(task, name) for task, values in first_metrics.items() for name in list(values)[:metrics_per_task]]
    figure, axes = panels([f"{task} · {name}" for task, name in pairs], "epoch", "")
    colour = colours(first_metrics)
    for panel, (task, name) in zip(axes, pairs, strict=False):
        epochs = [entry["epoch"] for entry in entries]
        values = [entry["metrics"][task][name] for entry in entries]
        panel.plot(epochs, values, color=colour[task], marker="o" if len(epochs) <= MARKED else "", markersize=4)
        _whole_numbers(panel)
        if history.best_epoch:
            panel.axvline(history.best_epoch, color=INK, linewidth=0.8, linestyle=":")
    return figure


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """For each value, the mean of the finite values in a window around it: float64 (n,).

    values: (n,). Values outside of the array count as missing, as those that are not finite do.
    window: the number of values in the window. The result is NaN where none of them is finite.
    """
    finite = np.isfinite(values)
    total = uniform_filter1d(np.where(finite, values, 0.0), window, mode="constant")
    count = uniform_filter1d(finite.astype(np.float64), window, mode="constant")
    return np.where(count > 0.5 / window, total / np.maximum(count, 0.5 / window), np.nan)


def _draw_line(axes: Axes, curve: np.ndarray, colour: str, **style: Any) -> None:
    dense = len(curve) > DENSE
    marker = "o" if len(curve) <= MARKED else ""
    steps = np.arange(1, len(curve) + 1)
    axes.plot(steps, curve, color=colour, marker=marker, markersize=3, rasterized=dense, **style)


def _draw_loss(axes: Axes, curve: np.ndarray, colour: str) -> None:
    shown = np.where(np.abs(curve) < HUGE, curve, np.nan)
    smooth = len(curve) >= SMOOTHED
    _draw_line(axes, shown, colour, **({"linewidth": 0.6, "alpha": 0.35} if smooth else {}))
    trend = running_mean(shown, len(curve) // 50) if smooth else shown
    if smooth:
        _draw_line(axes, trend, colour, linewidth=1.6)
    finite = trend[np.isfinite(trend)]
    if len(finite) and finite.min() > 0 and finite.max() > LOGARITHMIC * finite.min():
        axes.set_yscale("log")
    if not_shown := int(np.isnan(shown).sum()):
        text = f"off the scale: {not_shown:,}"
        axes.text(0.98, 0.95, text, transform=axes.transAxes, ha="right", va="top", fontsize=6, color="#A00000")


def _whole_numbers(axes: Axes) -> None:
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)


def _mark_epochs(axes: Axes, history: History) -> None:
    _whole_numbers(axes)
    ends = [entry["step"] for entry in history.epochs]
    if len(ends) <= MARKED:
        for step in ends:
            if step < len(history.step_loss):  # not after the last step, where no other epoch follows
                axes.axvline(step + 0.5, color=FAINT, linewidth=0.5, zorder=0)
    if history.best_epoch:
        axes.axvline(ends[history.best_epoch - 1], color=INK, linewidth=0.8, linestyle=":")


def _step_label(history: History) -> str:
    length = steps_per_epoch(history)
    return "step" if length is None else f"step ({length:,} an epoch)"
