"""The report of a run: a page that needs no other file, its plots, and its figures by epoch."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from shared_bottom.disk import write_whole
from shared_bottom.reports import curves, outcomes
from shared_bottom.reports.epochs import epoch_lines
from shared_bottom.reports.page import Picture, page
from shared_bottom.reports.rows import Rows, rows_by_task
from shared_bottom.reports.style import colours, render
from spec.model import ModelSpec
from spec.results import History
from spec.training import TrainSpec


def write_report(
    folder: Path,
    *,
    title: str,
    model: ModelSpec,
    train: TrainSpec,
    history: History,
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    sample_weight: np.ndarray | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    evaluated_on: str,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write report.html, metrics.jsonl, plots/<name>.png and plots/<name>.svg into `folder`, made if need be.

    labels: by task, as in a Dataset; a missing one is left out. predictions: by task, as `Backend.predict` gives them.
    Both may be empty: then there are only the run's curves. sample_weight: (N,). classes: by multiclass task, the
    classes' names, which are their numbers if not given. evaluated_on: what those rows are.
    extra: pairs of a name and a value that the summary begins with, such as the backend and the training rows.

    All is made before the first file is written, each whole or not at all.
    Raises ValueError, naming the argument, if labels and predictions do not fit the model; and OSError.
    """
    rows = rows_by_task(model, labels, predictions, sample_weight, classes)
    pictures: list[Picture] = []
    files: dict[str, bytes] = {}
    for plot in plots(model, history, rows, evaluated_on):
        png, svg = render(plot.figure)
        files |= {f"plots/{plot.name}.png": png, f"plots/{plot.name}.svg": svg}
        pictures.append(Picture(plot.name, plot.caption, round(96 * plot.figure.get_figwidth()), png, svg))
    evaluated = len(next(iter(labels.values()), ()))
    html = page(title, model, train, history, rows, evaluated_on, evaluated, dict(extra or {}), pictures)
    files |= {"metrics.jsonl": epoch_lines(history).encode(), "report.html": html.encode()}
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)


class Plot(NamedTuple):
    """A figure, what its files are called, and what stands below it."""

    name: str
    caption: str
    figure: Figure


def plots(model: ModelSpec, history: History, rows: list[Rows], evaluated_on: str) -> Iterator[Plot]:
    """The figures that this run gives rise to, in the order of the page."""
    colour = colours(task.name for task in model.tasks)
    end = " Dotted: the best epoch." if history.best_epoch else ""
    drawn = [
        (
            "losses",
            f"Loss of each step, in all and by task (before its weight), with a running mean if there are many; "
            f"vertical lines part the epochs. Off the scale are losses that are not finite or beyond 1e100.{end}",
            curves.losses(history) if len(history.step_loss) else None,
        ),
        ("metrics", f"Metrics of the validation rows at each epoch's end.{end}", curves.metrics(history)),
        (
            "task_weights",
            "Each task's factor in the total loss.",
            curves.task_weights(history) if len(history.step_loss) else None,
        ),
        (
            "roc",
            f"Receiver operating characteristic and the area under it, on {evaluated_on}.",
            outcomes.roc(rows, colour),
        ),
        (
            "calibration",
            f"Reliability on {evaluated_on}: the share of positives against the mean prediction, in ten bins of as "
            "many rows each. Row weights do not count here.",
            outcomes.calibration(rows, colour),
        ),
        (
            "confusion",
            f"Of each class's rows, the share in % that is predicted to be of each class, on {evaluated_on}.",
            outcomes.confusion(rows, colour),
        ),
        (
            "regression",
            f"Predicted against true values on {evaluated_on}; on the dashed line they agree. Where rows are many, "
            "darker cells hold more of them, on a logarithmic scale.",
            outcomes.regression(rows, colour),
        ),
    ]
    yield from (Plot(name, caption, figure) for name, caption, figure in drawn if figure is not None)
