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
    FAMILIES.get(run.case, bars)(axes, rows)
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


def vocabularies(axes: Axes, rows: list[Row]) -> None:
    """µs per step against the ids of the largest embedding."""
    lines(axes, rows, lambda row: row.median, dashed="dense")
    axes.set(xlabel="ids", ylabel="µs a step")


def places(axes: Axes, rows: list[Row]) -> None:
    """Rows per second against the number of rows, in memory and mapped."""
    lines(axes, rows, lambda row: row.rows_per_second, dashed="mapped")
    axes.set(xlabel="rows", ylabel="rows a second")


def size_of(row: Row) -> int:
    """The number in the name of the row's variant."""
    return int("".join(filter(str.isdigit, row.variant)))


def lines(axes: Axes, rows: list[Row], value: Callable[[Row], float], dashed: str | None = None) -> None:
    """One line per backend, execution and way, against the number in the name of the variant.

    dashed: the way whose lines are dashed. An execution's lines have one colour.
    """
    series: dict[str, list[Row]] = {}
    colours: dict[tuple[str, str, str], str] = {}
    for row in rows:
        series.setdefault(row.name.removesuffix(f" {row.variant}"), []).append(row)
    for name, (row, *others) in series.items():
        colour = colours.setdefault((row.process, row.backend, row.execution), f"C{len(colours)}")
        points = [(size_of(point), value(point)) for point in (row, *others)]
        style = "--" if row.way == dashed else "-"
        axes.plot(*zip(*points, strict=True), style, marker="o", color=colour, label=name)
    sizes = sorted({size_of(row) for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.legend()


FAMILIES = {"tasks": tasks, "batch": batches, "vocabulary": vocabularies, "rows": places}
"""How a family of cases is drawn; any other case has a bar for each row."""
