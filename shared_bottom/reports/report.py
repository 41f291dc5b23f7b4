"""The report of a run: a web page that needs no other file, the plots as files, and the numbers of each epoch."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from shared_bottom.disk import write_whole
from shared_bottom.reports import curves, outcomes
from shared_bottom.reports import gates as gate_weights
from shared_bottom.reports.epochs import epoch_lines
from shared_bottom.reports.importances import importance_plot
from shared_bottom.reports.page import Picture, page
from shared_bottom.reports.rows import TaskRows, rows_by_task
from shared_bottom.reports.style import colours, render
from shared_bottom.run.importance import Importances
from shared_bottom.run.watcher import METRICS
from spec.model import ModelSpec
from spec.results import History
from spec.training import TrainSpec


def write_report(
    folder: str | Path,
    *,
    title: str,
    model: ModelSpec,
    train: TrainSpec,
    history: History,
    labels: Mapping[str, np.ndarray],
    predictions: Mapping[str, np.ndarray],
    sample_weight: np.ndarray | None = None,
    task_weight: Mapping[str, np.ndarray] | None = None,
    group: np.ndarray | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
    gates: Mapping[str, np.ndarray] | None = None,
    importances: Importances | None = None,
    evaluated_on: str,
    extra: Mapping[str, str] | None = None,
    columns: Sequence[Sequence[str]] = (),
) -> None:
    """Write report.html, metrics.jsonl, plots/<name>.png and plots/<name>.svg.

    folder: where to write them. It is made if it does not exist.
    title: the heading of the page.
    model, train: the network, and how it was trained.
    history: the run.
    labels: the labels of N rows by task, as in a `Dataset`. A row whose label is missing does not count for the task.
    predictions: the predictions for these rows by task, as `Backend.predict` returns them. If labels and predictions
    are empty, the report has only the curves of the run.
    sample_weight: the weights of these rows, (N,), or None.
    task_weight: what they are multiplied by for a task, (N,) by task.
    group: the groups of these rows, (N,), or None.
    classes: the names of the classes by multiclass task, and those of the outputs by regression task. If they are not
    given, they are numbered.
    gates: the mean weight of each expert over these rows (experts,), by the name of the gate.
    importances: what the input columns matter on these rows, as `shared_bottom.permutation_importance` gives it.
    evaluated_on: what these rows are, such as "validation rows".
    extra: names and values that the summary begins with, such as the backend and the number of training rows.
    columns: a table of what the training rows have in each column: its header, and a row for each.

    Everything is computed before the first file is written, and each file is written whole or not at all. Raises
    ValueError, which names the argument, if labels and predictions do not fit the model, and OSError if a file cannot
    be written.
    """
    rows = rows_by_task(model, labels, predictions, sample_weight, classes, task_weight, group)
    pictures: list[Picture] = []
    files: dict[str, bytes] = {}
    for plot in plots(model, history, rows, evaluated_on, gates or {}, importances):
        png, svg = render(plot.figure)
        files |= {f"plots/{plot.name}.png": png, f"plots/{plot.name}.svg": svg}
        pictures.append(Picture(plot.name, plot.caption, round(96 * plot.figure.get_figwidth()), png, svg))
    evaluated = len(next(iter(labels.values()), ()))
    html = page(title, model, train, history, rows, evaluated_on, evaluated, dict(extra or {}), pictures, columns)
    files |= {METRICS: epoch_lines(history).encode(), "report.html": html.encode()}
    folder = Path(folder)
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)


class Plot(NamedTuple):
    """A figure, the name of its files, and the text below it."""

    name: str
    caption: str
    figure: Figure


def plots(
    model: ModelSpec,
    history: History,
    rows: list[TaskRows],
    evaluated_on: str,
    gates: Mapping[str, np.ndarray],
    importances: Importances | None,
) -> Iterator[Plot]:
    """The plots of a run, in the order in which the page shows them. Plots that would be empty are left out.

    model: the network.
    history: the run.
    rows: the rows of each task that were evaluated.
    evaluated_on: what these rows are, in words for the captions.
    gates: the mean weight of each expert over them, by the name of the gate.
    importances: what the input columns matter, if it was asked for.
    """
    colour = colours(task.name for task in model.tasks)
    dotted = " Dotted: the best epoch." if history.best_epoch else ""
    candidates = [
        (
            "losses",
            f"Loss of each step, in all and by task (before its weight), with a running mean if there are many; "
            f"vertical lines part the epochs. Off the scale are losses that are not finite or beyond 1e100.{dotted}",
            curves.losses(history) if len(history.step_loss) else None,
        ),
        ("metrics", f"Metrics of the validation rows at each epoch's end.{dotted}", curves.metrics(history)),
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
        (
            "gates",
            f"Who uses which expert: the mean weight that a gate gives to it, on {evaluated_on}. Grey: the gate does "
            "not look at it.",
            gate_weights.gates(model, gates),
        ),
        (
            "importance",
            "What each input column matters to each task: by how much its main metric is worse when the values of the "
            f"column are permuted among the rows, {importances.rows if importances else 0:,} of {evaluated_on}. A thin "
            "line is one standard deviation of the permutations.",
            importance_plot(importances, colour) if importances else None,
        ),
    ]
    yield from (Plot(name, caption, figure) for name, caption, figure in candidates if figure is not None)
