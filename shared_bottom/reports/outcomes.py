"""Plots of predictions against labels, with a panel for each task, which show how good the predictions are."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, r2_score, roc_auc_score, roc_curve

from shared_bottom.reports.rows import TaskRows
from shared_bottom.reports.style import DENSE, FAINT, INK, note, panels
from spec.tasks import Label

BINS = 10
"""The number of bins of a reliability curve. All bins have the same number of rows."""
OUTPUTS = 6
"""The largest number of outputs of a regression task that are drawn. They are the first ones."""
LABELLED = 10
"""The largest number of classes for which a confusion matrix shows its numbers, and of classes that it names."""

Draw = Callable[[Axes, TaskRows, str], None]
"""A function that draws the panel of a task, in the task's colour."""


def roc(rows: Sequence[TaskRows], colour: Mapping[str, str]) -> Figure | None:
    """The receiver operating characteristic (ROC) of each binary task, and the area under it.

    rows: the rows of each task. They count by their weights.
    colour: the colour of each task.

    The result is None if no task is binary.
    """
    return _figure("truth", rows, colour, _roc, ("false positive rate", "true positive rate"))


def calibration(rows: Sequence[TaskRows], colour: Mapping[str, str]) -> Figure | None:
    """The reliability curve of each binary task: the share of positives against the mean prediction, in ten bins.

    rows: the rows of each task. Their weights do not count.
    colour: the colour of each task.

    The result is None if no task is binary.
    """
    return _figure("truth", rows, colour, _calibration, ("predicted", "share of positives"))


def confusion(rows: Sequence[TaskRows], colour: Mapping[str, str]) -> Figure | None:
    """The confusion matrix of each multiclass task: of each class's rows, the share that is predicted as each class.

    rows: the rows of each task. They count by their weights.
    colour: the colour of each task.

    The result is None if no task is multiclass.
    """
    return _figure("class", rows, colour, _confusion, ("predicted class", "class"))


def _figure(
    label: Label, rows: Sequence[TaskRows], colour: Mapping[str, str], draw: Draw, axis_labels: tuple[str, str]
) -> Figure | None:
    """A figure with a panel, drawn by `draw`, for each task that has this kind of label; None if no task has it."""
    drawn = [task_rows for task_rows in rows if task_rows.task.traits.label == label]
    if not drawn:
        return None
    figure, axes = panels([task_rows.task.name for task_rows in drawn], *axis_labels, height=0.9)
    for panel, task_rows in zip(axes, drawn, strict=False):
        if reason := _reason_not_to_draw(task_rows):
            note(panel, reason)
        else:
            draw(panel, task_rows, colour[task_rows.task.name])
    return figure


def _reason_not_to_draw(rows: TaskRows) -> str | None:
    if not len(rows.label):
        return "no row has a label"
    return None if rows.finite else "a prediction is not finite"


def _roc(axes: Axes, rows: TaskRows, colour: str) -> None:
    if len(classes := np.unique(rows.label)) < 2:
        note(axes, f"all {len(rows.label):,} labels are {classes[0]:g}")
        return
    false_positives, true_positives, _ = roc_curve(rows.label, rows.predicted, sample_weight=rows.weight)
    area = roc_auc_score(rows.label, rows.predicted, sample_weight=rows.weight)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
    dense = len(false_positives) > DENSE
    axes.plot(false_positives, true_positives, color=colour, label=f"AUC {area:.4f}", rasterized=dense)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc="lower right", fontsize=8, frameon=False, handlelength=1)


def _calibration(axes: Axes, rows: TaskRows, colour: str) -> None:
    share, predicted = calibration_curve(rows.label, rows.predicted, n_bins=BINS, strategy="quantile", pos_label=1)
    end = 1.08 * max(share.max(), predicted.max(), 1e-6)
    axes.plot([0, end], [0, end], color=FAINT, linewidth=0.8, linestyle="--")
    axes.plot(predicted, share, color=colour, marker="o", markersize=4)
    axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")


def _confusion(axes: Axes, rows: TaskRows, colour: str) -> None:
    classes = range(rows.task.outputs)
    likeliest = rows.predicted.argmax(axis=1)
    shares = confusion_matrix(rows.label, likeliest, labels=classes, normalize="true", sample_weight=rows.weight)
    axes.imshow(shares, cmap=_shades(colour), vmin=0, vmax=1)
    for spine in axes.spines.values():
        spine.set_visible(False)
    ticks = classes[:: math.ceil(len(classes) / LABELLED)]
    names = [rows.outputs[i] for i in ticks]
    axes.set(xticks=ticks, yticks=ticks, xticklabels=names, yticklabels=names)
    if len(classes) <= LABELLED:
        for i, j in product(classes, classes):
            ink = "white" if shares[i, j] > 0.6 else INK
            axes.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", fontsize=7, color=ink)


def regression(rows: Sequence[TaskRows], colour: Mapping[str, str]) -> Figure | None:
    """Predicted against true values, and R², for each output of each regression task; each quantile without R².

    rows: the rows of each task. R² counts them by their weights.
    colour: the colour of each task.

    The result is None if no task is a regression.
    """
    regression_rows = [task_rows for task_rows in rows if task_rows.task.traits.label == "number"]
    outputs = [(task_rows, i) for task_rows in regression_rows for i in range(min(len(task_rows.outputs), OUTPUTS))]
    if not outputs:
        return None
    names = [
        task_rows.task.name if len(task_rows.outputs) == 1 else f"{task_rows.task.name}[{task_rows.outputs[i]}]"
        for task_rows, i in outputs
    ]
    figure, axes = panels(names, "true", "predicted", height=0.9)
    for panel, (task_rows, i) in zip(axes, outputs, strict=False):
        if reason := _reason_not_to_draw(task_rows):
            note(panel, reason)
        else:
            true = task_rows.label[:, min(i, task_rows.task.outputs - 1)].astype(np.float64)
            _scatter(panel, task_rows, true, task_rows.predicted[:, i], colour[task_rows.task.name])
    return figure


def _scatter(axes: Axes, rows: TaskRows, true: np.ndarray, predicted: np.ndarray, colour: str) -> None:
    low, high = float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))
    margin = 0.04 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    if len(true) > DENSE:
        axes.hexbin(
            true,
            predicted,
            gridsize=40,
            extent=(*limits, *limits),
            bins="log",
            mincnt=1,
            cmap=_shades(colour, 0.15),
            linewidths=0.1,
            rasterized=True,
        )
    else:
        axes.plot(true, predicted, ".", color=colour, markersize=4, alpha=0.6, markeredgewidth=0)
    axes.plot(limits, limits, color=INK, linewidth=0.8, linestyle="--")
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    if np.ptp(true) > 0 and not rows.task.objective.quantiles:
        text = f"R² {r2_score(true, predicted, sample_weight=rows.weight):z.3f}"
        axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=8)


def _shades(colour: str, start: float = 0.0) -> LinearSegmentedColormap:
    """A colour map that ends at `colour` and begins at white or, if `start` > 0, at that share of the way from it."""
    r, g, b, _ = LinearSegmentedColormap.from_list("shades", ["white", colour])(start)
    return LinearSegmentedColormap.from_list("shades", [to_hex((r, g, b)), colour])
