"""A comparison of tasks alone and together as a plot that shows negative transfer at a glance."""

import io
import math
from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.sharing.report import count, least_agreeing
from bench.sharing.results import ALONE, Sharing
from bench.sharing.summary import gates
from shared_bottom.reports.gates import LevelGates

LINES = 6
"""Largest number of pairs of tasks that are drawn one by one."""
CELLS = 64
"""Largest number of weights that are written into a panel of gates."""
COLOURS = {"helps": "tab:green", "hurts": "tab:red", "no difference shown": "tab:grey", "not known": "tab:grey"}


def plot_sharing(run: Sharing, form: str) -> bytes:
    """The plot as a file: differences, cosines and gates, as far as there are such. form: png or svg."""
    draws: list[Callable[[Axes], None]] = [partial(differences, run=run, against=ALONE)]
    if len(run.ways) > 1:
        draws.append(partial(differences, run=run, against=run.base))
    with_pairs = [way for way in (run.base, *run.ways) if run.seeds[0].ways[way].cosine]
    if with_pairs:
        draws.append(partial(agreement, run=run, way=with_pairs[0]))
    draws += [partial(heatmap, level=level) for level in gates(run)]
    rows = math.ceil(len(draws) / 2)
    height = max(4.0, 1.5 + 0.4 * len(run.against(ALONE)))
    figure = Figure(figsize=(12, height * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, draw in zip(panels, draws, strict=False):
        draw(axes)
    for axes in panels[len(draws) :]:
        axes.set_axis_off()
    figure.suptitle(f"{run.name}: does sharing help? {run.backend}, {count(len(run.seeds), 'seed')}")
    file = io.BytesIO()
    figure.savefig(file, format=form, dpi=120)
    return file.getvalue()


def differences(axes: Axes, run: Sharing, against: str) -> None:
    """The difference and its interval for each task and way, in percent of the metric of what is compared with.

    Percentages are used because each metric has a different unit.
    """
    axes.axvline(0, color="black", linewidth=0.8)
    outcomes, several = run.against(against), len(run.ways) > 1
    for place, outcome in enumerate(outcomes):
        scale = 100 / abs(outcome.reference) if outcome.reference else float("nan")
        value = outcome.difference * scale
        low, high = outcome.interval or (outcome.difference, outcome.difference)
        error = [[value - low * scale], [high * scale - value]] if outcome.interval else None
        axes.errorbar(value, place, xerr=error, fmt="o", capsize=4, color=COLOURS[outcome.verdict])
    names = [
        f"{outcome.task}, {outcome.way if several else outcome.metric}:\n{outcome.verdict}" for outcome in outcomes
    ]
    axes.set_yticks(range(len(names)), names)
    furthest = max(map(abs, axes.get_xlim()))
    axes.set(xlim=(-furthest, furthest), ylim=(len(names) - 0.5, -0.5))
    who = "sharing" if against == ALONE else "it"
    axes.set_xlabel(f"against {against}, % of its metric\n← {who} hurts    {who} helps →")
    axes.set_title("Difference and its 95 % interval")


def agreement(axes: Axes, run: Sharing, way: str) -> None:
    """The cosine of each pair over the epochs: the mean over the seeds, and the range from the lowest to the highest.

    If there are many pairs, only their mean and the pair that agrees least are drawn.
    """
    each = [seed.ways[way].cosine for seed in run.seeds]
    cosine = {name: np.array([of[name] for of in each]) for name in each[0]}
    worst = least_agreeing([pair for pair in run.pairs if pair.way == way])[0].tasks
    if len(cosine) > LINES:
        mean = np.ma.masked_invalid(list(cosine.values())).mean(axis=0).filled(np.nan)
        cosine = {f"mean of {len(cosine)} pairs": mean, f"lowest: {worst}": cosine[worst]}
    epochs = np.arange(run.train.epochs + 1)
    for name, values in cosine.items():
        (line,) = axes.plot(epochs, values.mean(axis=0), marker="o", markersize=3, label=name)
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), alpha=0.2, color=line.get_color())
    axes.axhline(0, color="black", linewidth=0.8)
    furthest = min(1.05, max(0.25, *map(abs, axes.get_ylim())))
    axes.set(
        xlabel="epochs done", ylabel=f"cosine, {way}" if len(run.ways) > 1 else "cosine", ylim=(-furthest, furthest)
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    axes.set_title("Cosine of the tasks' gradients on the shared parameters")


def heatmap(axes: Axes, level: LevelGates) -> None:
    """The mean weight of each expert by task; what a gate does not look at stays empty."""
    axes.imshow(level.weights, cmap="Blues", vmin=0.0, vmax=2 * np.nanmax(level.weights), aspect="auto")
    for (task, expert), weight in np.ndenumerate(level.weights):
        if level.weights.size <= CELLS and np.isfinite(weight):
            axes.text(expert, task, f"{weight:.2f}", ha="center", va="center")
    axes.set_xticks(range(len(level.experts)), level.experts, rotation=0 if len(level.experts) <= 8 else 90)
    axes.set_yticks(range(len(level.owners)), level.owners)
    axes.set(xlabel="expert", ylabel="gate of")
    axes.set_title(f"{level.title}: mean weights of the gates")
