"""A run as a plot: cost against the number of tasks, throughput against the batch size, or one bar per row."""

import io
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.results import Row, Run


def plot_run(run: Run) -> bytes:
    """The plot as a PNG."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in run.rows if row.step_microseconds]
    {"tasks": tasks, "batch": batches}.get(run.case, bars)(axes, rows)
    axes.set_title(f"{run.case}: {run.machine.processor}, threads: {run.threads}")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def bars(axes: Axes, rows: list[Row]) -> None:
    """One bar per row: µs per step, with the 10th and the 90th percentile as whiskers."""
    names = [row.name for row in rows]
    medians = [row.median for row in rows]
    spread = [[row.median - row.percentile(10) for row in rows], [row.percentile(90) - row.median for row in rows]]
    places = range(len(rows))
    processes = sorted({row.process for row in rows})
    colours = [f"C{processes.index(row.process)}" for row in rows]
    axes.barh(places, medians, xerr=spread, color=colours)
    for place, row in enumerate(rows):
        axes.text(row.percentile(90), place, f"  {row.median:,.0f}", va="center")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="µs a step (logarithmic)", xlim=(min(medians) / 3, max(medians) * 4))


def tasks(axes: Axes, rows: list[Row]) -> None:
    """µs per step against the number of tasks."""
    lines(axes, rows, lambda row: row.median)
    axes.set(xlabel="tasks", ylabel="µs a step")


def batches(axes: Axes, rows: list[Row]) -> None:
    """Rows per second against the batch size."""
    lines(axes, rows, lambda row: row.rows_per_second)
    axes.set(xlabel="rows a step", ylabel="rows a second")


def lines(axes: Axes, rows: list[Row], value: Callable[[Row], float]) -> None:
    """One line per backend and execution, against the number in the name of the variant."""
    series: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        size = int("".join(filter(str.isdigit, row.variant)))
        series.setdefault(row.name.removesuffix(f" {row.variant}"), []).append((size, value(row)))
    for name, points in series.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    sizes = sorted({size for points in series.values() for size, _ in points})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.legend()
