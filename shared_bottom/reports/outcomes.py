"""Labels against predictions, a panel for each task: how good they are, and where they are wrong."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, r2_score, roc_auc_score, roc_curve

from shared_bottom.reports.rows import Rows
from shared_bottom.reports.style import DENSE, FAINT, INK, note, panels
from spec.tasks import Label

BINS = 10
"""Of a reliability curve, each with as many rows."""
OUTPUTS = 6
"""Of a regression task that are drawn, the first ones."""
LABELLED = 10
"""Classes up to which a confusion matrix has its numbers written in."""

Draw = Callable[[Axes, Rows, str], None]


def roc(rows: Sequence[Rows], colour: Mapping[str, str]) -> Figure | None:
    """The receiver operating characteristic of each binary task, and the area under it; rows count by weight."""
    return _figure("truth", rows, colour, _roc, ("false positive rate", "true positive rate"))


def calibration(rows: Sequence[Rows], colour: Mapping[str, str]) -> Figure | None:
    """The share of positives against the mean prediction, in ten bins of as many rows each; without weights."""
    return _figure("truth", rows, colour, _calibration, ("predicted", "share of positives"))


def confusion(rows: Sequence[Rows], colour: Mapping[str, str]) -> Figure | None:
    """Of each class's rows, by weight, the share that is predicted to be of each class."""
    return _figure("class", rows, colour, _confusion, ("predicted class", "class"))


def _figure(
    label: Label, rows: Sequence[Rows], colour: Mapping[str, str], draw: Draw, axis_labels: tuple[str, str]
) -> Figure | None:
    drawn = [row for row in rows if row.task.traits.label == label]
    if not drawn:
        return None
    figure, axes = panels([row.task.name for row in drawn], *axis_labels, height=0.9)
    for place, row in zip(axes, drawn, strict=False):
        if reason := _nothing(row):
            note(place, reason)
        else:
            draw(place, row, colour[row.task.name])
    return figure


def _nothing(row: Rows) -> str | None:
    if not len(row.label):
        return "no row has a label"
    return None if row.finite else "a prediction is not finite"


def _roc(axes: Axes, row: Rows, colour: str) -> None:
    if len(classes := np.unique(row.label)) < 2:
        note(axes, f"all {len(row.label):,} labels are {classes[0]:g}")
        return
    false, true, _ = roc_curve(row.label, row.predicted, sample_weight=row.weight)
    area = roc_auc_score(row.label, row.predicted, sample_weight=row.weight)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
    axes.plot(false, true, color=colour, label=f"AUC {area:.4f}", rasterized=len(false) > DENSE)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc="lower right", fontsize=8, frameon=False, handlelength=1)


def _calibration(axes: Axes, row: Rows, colour: str) -> None:
    share, predicted = calibration_curve(row.label, row.predicted, n_bins=BINS, strategy="quantile", pos_label=1)
    end = 1.08 * max(share.max(), predicted.max(), 1e-6)
    axes.plot([0, end], [0, end], color=FAINT, linewidth=0.8, linestyle="--")
    axes.plot(predicted, share, color=colour, marker="o", markersize=4)
    axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")


def _confusion(axes: Axes, row: Rows, colour: str) -> None:
    classes = range(row.task.outputs)
    found = row.predicted.argmax(axis=1)
    shares = confusion_matrix(row.label, found, labels=classes, normalize="true", sample_weight=row.weight)
    axes.imshow(shares, cmap=_shades(colour), vmin=0, vmax=1)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(classes) <= LABELLED:
        axes.set(xticks=classes, yticks=classes, xticklabels=row.classes, yticklabels=row.classes)
        for i, j in product(classes, classes):
            ink = "white" if shares[i, j] > 0.6 else INK
            axes.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", fontsize=7, color=ink)


def regression(rows: Sequence[Rows], colour: Mapping[str, str]) -> Figure | None:
    """Predicted against true values of each output of each regression task, with R²; R² counts rows by weight."""
    numeric = [row for row in rows if row.task.traits.label == "number"]
    pairs = [(row, i) for row in numeric for i in range(min(row.task.outputs, OUTPUTS))]
    if not pairs:
        return None
    names = [row.task.name if row.task.outputs == 1 else f"{row.task.name}[{i}]" for row, i in pairs]
    figure, axes = panels(names, "true", "predicted", height=0.9)
    for place, (row, i) in zip(axes, pairs, strict=False):
        if reason := _nothing(row):
            note(place, reason)
        else:
            _against(place, row.label[:, i].astype(np.float64), row.predicted[:, i], row.weight, colour[row.task.name])
    return figure


def _against(axes: Axes, true: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None, colour: str) -> None:
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
    if np.ptp(true) > 0:
        text = f"R² {r2_score(true, predicted, sample_weight=weight):z.3f}"
        axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=8)


def _shades(colour: str, least: float = 0.0) -> LinearSegmentedColormap:
    """From white, or a little more, to the task's colour."""
    r, g, b, _ = LinearSegmentedColormap.from_list("shades", ["white", colour])(least)
    return LinearSegmentedColormap.from_list("shades", [to_hex((r, g, b)), colour])
