"""The importances of the input columns as a plot."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from shared_bottom.reports.style import INK, STYLE, note, panels
from shared_bottom.run.importance import Importances
from spec.metrics import higher_is_better

SHOWN = 20
"""The largest number of columns of a task that are drawn."""


def importance_plot(importances: Importances, colour: Mapping[str, str]) -> Figure:
    """For each task, the columns that matter most: the mean drop of its metric, and its standard deviation as a line.

    colour: that of each task.
    """
    bars = min(SHOWN, len(importances.columns))
    figure, axes = panels(list(importances.drops), "", "", height=max(0.45, 0.05 * bars + 0.15))
    with mpl.rc_context(STYLE):
        for panel, (task, drops) in zip(axes, importances.drops.items(), strict=False):
            means = {name: float(drop.mean()) for name, drop in drops.items()}
            if not np.isfinite([*means.values()]).all():
                note(panel, f"{importances.metrics[task]} is not defined")
                continue
            names = sorted(means, key=lambda name: -means[name])[:SHOWN][::-1]
            deviations = [float(drops[name].std()) for name in names]
            panel.barh(names, [means[name] for name in names], color=colour[task], height=0.65)
            panel.errorbar([means[name] for name in names], names, xerr=deviations, fmt="none", ecolor=INK, lw=0.8)
            panel.axvline(0.0, color=INK, linewidth=0.5)
            metric = importances.metrics[task]
            change = "drop" if higher_is_better(metric) else "rise"
            panel.set_xlabel(f"{change} of {metric} from {importances.values[task]:.4g}")
    return figure
