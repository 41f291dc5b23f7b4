"""A comparison of tasks alone and together as a plot that shows negative transfer at a glance."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.sharing.report import count, least_agreeing
from bench.sharing.results import Sharing

LINES = 6
"""Largest number of pairs of tasks that are drawn one by one."""
COLOURS = {"helps": "tab:green", "hurts": "tab:red", "no difference shown": "tab:grey", "not known": "tab:grey"}


def plot_sharing(run: Sharing, form: str) -> bytes:
    """The plot as a file. form: png or svg."""
    figure = Figure(figsize=(12, max(4.0, 1.5 + 0.4 * len(run.outcomes))), layout="constrained")
    left, right = figure.subplots(1, 2)
    differences(left, run)
    agreement(right, run)
    figure.suptitle(f"{run.name}: does sharing help? {run.backend}, {count(len(run.seeds), 'seed')}")
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=120)
    return file.getvalue()


def differences(axes: Axes, run: Sharing) -> None:
    """The difference and its interval for each task, in percent of the metric of the task trained alone.

    Percentages are used because each metric has a different unit.
    """
    axes.axvline(0, color="black", linewidth=0.8)
    for place, outcome in enumerate(run.outcomes):
        scale = 100 / abs(outcome.alone) if outcome.alone else float("nan")
        value = outcome.difference * scale
        low, high = outcome.interval or (outcome.difference, outcome.difference)
        error = [[value - low * scale], [high * scale - value]] if outcome.interval else None
        axes.errorbar(value, place, xerr=error, fmt="o", capsize=4, color=COLOURS[outcome.verdict])
    names = [f"{outcome.task}, {outcome.metric}:\n{outcome.verdict}" for outcome in run.outcomes]
    axes.set_yticks(range(len(names)), names)
    furthest = max(map(abs, axes.get_xlim()))
    axes.set(xlim=(-furthest, furthest), ylim=(len(names) - 0.5, -0.5))
    axes.set_xlabel("shared against alone, % of the metric alone\n← sharing hurts    sharing helps →")
    axes.set_title("Difference and its 95 % interval")


def agreement(axes: Axes, run: Sharing) -> None:
    """The cosine of each pair over the epochs: the mean over the seeds, and the range from the lowest to the highest.

    If there are many pairs, only their mean and the pair that agrees least are drawn.
    """
    cosine = {name: np.array([seed.cosine[name] for seed in run.seeds]) for name in run.seeds[0].cosine}
    worst = least_agreeing(run.pairs)[0].tasks
    if len(cosine) > LINES:
        mean = np.ma.masked_invalid(list(cosine.values())).mean(axis=0).filled(np.nan)
        cosine = {f"mean of {len(cosine)} pairs": mean, f"lowest: {worst}": cosine[worst]}
    epochs = np.arange(run.train.epochs + 1)
    for name, values in cosine.items():
        (line,) = axes.plot(epochs, values.mean(axis=0), marker="o", markersize=3, label=name)
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), alpha=0.2, color=line.get_color())
    axes.axhline(0, color="black", linewidth=0.8)
    furthest = min(1.05, max(0.25, *map(abs, axes.get_ylim())))
    axes.set(xlabel="epochs done", ylabel="cosine", ylim=(-furthest, furthest))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    axes.set_title("Cosine of the tasks' gradients on the shared parameters")
