"""What the experiment of related tasks prints and draws."""

import io
import statistics

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from bench.related.runs import Curve, Related
from bench.report import WIDTH
from bench.sharing.report import count
from bench.sharing.summary import confidence_interval, deviation
from spec.presets import RELATED_NOISE


def print_related(run: Related) -> None:
    """Print a table of the final losses."""
    console = Console(width=max(Console().width, WIDTH), highlight=False, markup=False)
    console.print(f"{run.backend}; {run.machine.processor}, threads: {run.threads}")
    seeds, rate = len(run.curves[0].final), run.train.optimizer.learning_rate
    console.print(f"{run.steps:,} steps of {run.train.batch_size} rows, learning rate {rate:g}, seeds: {seeds}")
    console.print(
        "Mean loss of the last tenth of the steps, on rows never seen: mean ± standard deviation over seeds\n"
    )
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    table.add_column("correlation")
    table.add_column("way")
    for name in ("parameters", "final loss", "below shared_bottom", "in seeds", "s a training"):
        table.add_column(name, justify="right", no_wrap=True)
    for curve in run.curves:
        base = next(other for other in run.curves if other.correlation == curve.correlation)
        gains = np.subtract(base.final, curve.final)
        table.add_row(
            f"{curve.correlation:g}",
            curve.way,
            f"{curve.parameters:,}",
            f"{np.mean(curve.final):.4f}{_spread(deviation(curve.final))}",
            *(["", ""] if curve is base else [_difference(gains), f"{(gains > 0).sum()} of {len(gains)}"]),
            f"{statistics.median(curve.seconds):.2f}",
        )
    console.print(table, "")
    console.print(
        "below: ± is half the 95 % interval, Student's t paired by seed. s a training: the median over seeds."
    )
    console.print(f"The loss is the sum of both tasks' squared errors; noise alone is {2 * RELATED_NOISE**2:g}.")


def _difference(gains: np.ndarray) -> str:
    interval = confidence_interval(gains)
    return f"{gains.mean():+.4f}{_spread(interval and interval[1] - float(gains.mean()))}"


def _spread(spread: float | None) -> str:
    return "" if spread is None else f" ± {spread:.4f}"


def plot_related(run: Related, form: str) -> bytes:
    """Loss against step, a panel for each correlation: the mean over seeds and its 95 % interval.

    form: png or svg.
    """
    correlations = list(dict.fromkeys(curve.correlation for curve in run.curves))
    figure = Figure(figsize=(4.5 * len(correlations), 4.2), layout="constrained")
    panels = figure.subplots(1, len(correlations), sharey=True, squeeze=False)[0]
    for axes, correlation in zip(panels, correlations, strict=True):
        for curve in run.curves:
            if curve.correlation == correlation:
                losses = np.array(curve.losses)  # (seeds, points)
                low, high = np.transpose([confidence_interval(at) or (at[0], at[0]) for at in losses.T])
                axes.plot(curve.steps, _mean(curve), label=curve.way)
                axes.fill_between(curve.steps, low, high, alpha=0.2)
        axes.axhline(2 * RELATED_NOISE**2, color="black", linewidth=0.8, linestyle=":", label="noise alone")
        axes.set(xlabel="step", yscale="log", title=f"correlation {correlation:g}")
    begun = max(max(_mean(curve)[len(curve.steps) // 10 :]) for curve in run.curves)
    panels[0].set_ylim(0.8 * 2 * RELATED_NOISE**2, 1.2 * begun)  # the first steps are much higher
    panels[0].set_ylabel("loss on rows never seen")
    panels[0].legend()
    seeds = len(run.curves[0].losses)
    figure.suptitle(f"Two related tasks: {run.backend}, mean over {count(seeds, 'seed')} and its 95 % interval")
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=120)
    return file.getvalue()


def _mean(curve: Curve) -> list[float]:
    """The losses of the curve's points, as means over seeds."""
    return [float(loss) for loss in np.mean(curve.losses, axis=0)]
