"""A run's curves, a panel each: losses and task weights over the steps, metrics over the epochs."""

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
"""Steps from which on a running mean is drawn, over a fiftieth of them."""
MARKED = 30
"""Epochs, or steps, up to which each is marked."""
FEW = 6
"""Tasks up to which all their metrics are drawn, and not only the main one of each."""
HUGE = 1e100
"""A loss beyond it is left out, as one that is not finite is: no axis could show it beside the others."""
LOGARITHMIC = 50
"""From this ratio of the largest and the smallest loss on (of the running mean, if any), the axis is logarithmic."""


def losses(history: History) -> Figure:
    """The total loss and each task's over the steps (before its weight); what cannot be shown is a gap, and counted."""
    curves, colour = loss_curves(history), colours(history.task_loss)
    figure, axes = panels(list(curves), _step_label(history), "loss")
    for own, (name, curve) in zip(axes, curves.items(), strict=False):
        _curve(own, curve, colour.get(name, INK))
        _mark_epochs(own, history)
    return figure


def task_weights(history: History) -> Figure:
    """Each task's factor in the total loss over the steps."""
    figure, axes = panels(list(history.task_weight), _step_label(history), "weight", height=0.45, sharey=True)
    colour = colours(history.task_weight)
    for own, (name, curve) in zip(axes, history.task_weight.items(), strict=False):
        _line(own, curve, colour[name])
        _mark_epochs(own, history)
    largest = max(float(np.nanmax(curve, initial=0.0)) for curve in history.task_weight.values())
    if math.isfinite(largest):
        axes[0].set_ylim(0.0, 1.1 * largest or 1.0)  # all share it
    return figure


def metrics(history: History) -> Figure | None:
    """Each task's validation metrics over the epochs; None without any."""
    entries = [entry for entry in history.epochs if "metrics" in entry]
    if not entries:
        return None
    first = entries[0]["metrics"]
    pairs = [(task, name) for task, own in first.items() for name in list(own)[: None if len(first) <= FEW else 1]]
    figure, axes = panels([f"{task} · {name}" for task, name in pairs], "epoch", "")
    colour = colours(first)
    for own, (task, name) in zip(axes, pairs, strict=False):
        epochs = [entry["epoch"] for entry in entries]
        values = [entry["metrics"][task][name] for entry in entries]
        own.plot(epochs, values, color=colour[task], marker="o" if len(epochs) <= MARKED else "", markersize=4)
        _whole_numbers(own)
        if history.best_epoch:
            own.axvline(history.best_epoch, color=INK, linewidth=0.8, linestyle=":")
    return figure


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of the finite ones among the `window` values around each: float64 (n,)."""
    finite = np.isfinite(values)
    total = uniform_filter1d(np.where(finite, values, 0.0), window, mode="constant")
    count = uniform_filter1d(finite.astype(np.float64), window, mode="constant")
    return np.where(count > 0.5 / window, total / np.maximum(count, 0.5 / window), np.nan)


def _line(axes: Axes, curve: np.ndarray, colour: str, **style: Any) -> None:
    dense = len(curve) > DENSE
    marker = "o" if len(curve) <= MARKED else ""
    steps = np.arange(1, len(curve) + 1)
    axes.plot(steps, curve, color=colour, marker=marker, markersize=3, rasterized=dense, **style)


def _curve(axes: Axes, curve: np.ndarray, colour: str) -> None:
    shown = np.where(np.abs(curve) < HUGE, curve, np.nan)
    smooth = len(curve) >= SMOOTHED
    _line(axes, shown, colour, **({"linewidth": 0.6, "alpha": 0.35} if smooth else {}))
    trend = running_mean(shown, len(curve) // 50) if smooth else shown
    if smooth:
        _line(axes, trend, colour, linewidth=1.6)
    found = trend[np.isfinite(trend)]
    if len(found) and found.min() > 0 and found.max() > LOGARITHMIC * found.min():
        axes.set_yscale("log")
    if missing := int(np.isnan(shown).sum()):
        text = f"off the scale: {missing:,}"
        axes.text(0.98, 0.95, text, transform=axes.transAxes, ha="right", va="top", fontsize=6, color="#A00000")


def _whole_numbers(axes: Axes) -> None:
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)


def _mark_epochs(axes: Axes, history: History) -> None:
    _whole_numbers(axes)
    ends = [entry["step"] for entry in history.epochs]
    if len(ends) <= MARKED:
        for step in ends:
            if step < len(history.step_loss):  # between an epoch and what follows it
                axes.axvline(step + 0.5, color=FAINT, linewidth=0.5, zorder=0)
    if history.best_epoch:
        axes.axvline(ends[history.best_epoch - 1], color=INK, linewidth=0.8, linestyle=":")


def _step_label(history: History) -> str:
    length = steps_per_epoch(history)
    return "step" if length is None else f"step ({length:,} an epoch)"
