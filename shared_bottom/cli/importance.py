"""What evaluate says of the importances of the input columns."""

from pathlib import Path
from typing import Any

import numpy as np

from shared_bottom.cli.printing import print_table, shortened
from shared_bottom.disk import write_whole
from shared_bottom.run.importance import Importances


def print_importance(importances: Importances) -> None:
    """Print for each column the mean drop of each task's metric and its standard deviation, largest drops first."""
    title = "by how much the metric is worse when the column is permuted: mean and standard deviation, "
    names = ["column", *(f"{task} · {metric}" for task, metric in importances.metrics.items())]
    rows = [
        [name, *(f"{drops[name].mean():.4g} ± {drops[name].std():.2g}" for drops in importances.drops.values())]
        for name in importances.columns
    ]
    print_table(f"{title}{importances.rows:,} rows", names, shortened(rows))


def importance_json(importances: Importances) -> dict[str, Any]:
    """By task and column, the drop in each repetition; null if it is not defined."""
    return {
        task: {name: [value if np.isfinite(value) else None for value in drop.tolist()] for name, drop in drops.items()}
        for task, drops in importances.drops.items()
    }


def write_plot(path: Path, importances: Importances) -> None:
    """Draw the importances into a file .png or .svg. Raises OSError if it cannot be written."""
    # Here, because matplotlib takes long to import, and a plot is rarely asked for.
    from shared_bottom.reports.importances import importance_plot
    from shared_bottom.reports.style import colours, render

    png, svg = render(importance_plot(importances, colours(importances.drops)))
    write_whole(path, png if path.suffix == ".png" else svg)
