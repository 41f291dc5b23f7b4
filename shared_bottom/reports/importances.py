"""The importances of the input columns as a plot and as a table."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from shared_bottom.reports.style import INK, STYLE, note, panels
from shared_bottom.run.importance import Importances
from spec.metrics import higher_is_better

SHOWN = 20
"""The largest number of columns of a task that are drawn."""


def importance_plot(found: Importances, colour: Mapping[str, str]) -> Figure:
    """For each task, the columns that matter most: the mean drop of its metric, and its standard deviation as a line.

    colour: that of each task.
    """
    bars = min(SHOWN, len(found.columns))
    figure, axes = panels(list(found.drops), "", "", height=max(0.45, 0.05 * bars + 0.15))
    with mpl.rc_context(STYLE):
        for panel, (task, drops) in zip(axes, found.drops.items(), strict=False):
            means = {name: float(drop.mean()) for name, drop in drops.items()}
            if not np.isfinite([*means.values()]).all():
                note(panel, f"{found.metrics[task]} is not defined")
                continue
            names = sorted(means, key=lambda name: -means[name])[:SHOWN][::-1]
            deviations = [float(drops[name].std()) for name in names]
            panel.barh(names, [means[name] for name in names], color=colour[task], height=0.65)
            panel.errorbar([means[name] for name in names], names, xerr=deviations, fmt="none", ecolor=INK, lw=0.8)
            panel.axvline(0.0, color=INK, linewidth=0.5)
            metric = found.metrics[task]
            change = "drop" if higher_is_better(metric) else "rise"
            panel.set_xlabel(f"{change} of {metric} from {found.values[task]:.4g}")
    return figure


def importance_rows(found: Importances) -> list[list[str]]:
    """A row for each column, first those that matter most: for each task the mean drop and its standard deviation."""
    return [
        [name, *(f"{drops[name].mean():.4g} ± {drops[name].std():.2g}" for drops in found.drops.values())]
        for name in found.columns
    ]


def importance_json(found: Importances) -> dict[str, Any]:
    """By task and column, the drop in each repetition; null if it is not defined."""
    return {
        task: {name: [value if np.isfinite(value) else None for value in drop.tolist()] for name, drop in drops.items()}
        for task, drops in found.drops.items()
    }
