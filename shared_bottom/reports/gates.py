"""Who uses which expert: the mean weights of a network's gates, as a table and as a plot."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from shared_bottom.reports.style import FAINT, INK, note, panels
from spec.model import ModelSpec
from spec.network import levels

WRITTEN = (20, 8)
"""The largest numbers of gates and of experts of a level whose weights are written into its panel."""
NAMED = 20
"""The largest number of experts, and of gates, of a level that are named."""
ALL_TASKS = "all tasks"
"""Whose gate that of the shared experts is called."""


class LevelGates(NamedTuple):
    """The gates of a level of experts."""

    title: str
    """The way of sharing, and which of its levels it is if there are several."""
    experts: tuple[str, ...]
    """Their names, without what those of the level all begin with."""
    owners: tuple[str, ...]
    """Whose gates they are: the tasks, then ALL_TASKS if the shared experts have one."""
    weights: np.ndarray
    """float64 (owners, experts): the mean weight; NaN where the gate does not look at the expert."""
    finite: bool
    """Whether every weight that these gates give is."""


def gate_tables(model: ModelSpec, weights: Mapping[str, ArrayLike]) -> Iterator[LevelGates]:
    """The gates of each level that has some.

    weights: the mean weight of each expert (experts,) by the name of the gate, as `mean_gates` gives it.
    """
    all_levels = levels(model)
    for number, level in enumerate(all_levels):
        if not level.gates:
            continue
        table = np.full((len(level.gates), len(level.experts)), np.nan)
        for row, gate in zip(table, level.gates, strict=True):
            row[list(gate.experts)] = weights[gate.layer.name]
        yield LevelGates(
            title=model.sharing.kind + (f", level {number}" if len(all_levels) > 1 else ""),
            experts=tuple(
                expert.name.removeprefix("experts.").removeprefix(f"levels.{number}.") for expert in level.experts
            ),
            owners=tuple(gate.task.name if gate.task else ALL_TASKS for gate in level.gates),
            weights=table,
            finite=all(np.isfinite(weights[gate.layer.name]).all() for gate in level.gates),
        )


def gates(model: ModelSpec, weights: Mapping[str, np.ndarray]) -> Figure | None:
    """The mean weights as shades, with a panel for each level; None if there are no gates.

    weights: as for `gate_tables`.
    """
    tables = list(gate_tables(model, weights)) if weights else []
    if not tables:
        return None
    figure, axes = panels([table.title for table in tables], "expert", "gate of", height=0.9)
    for panel, table in zip(axes, tables, strict=False):
        if not table.finite:
            note(panel, "a weight is not finite")
            continue
        darkest = float(np.nanmax(table.weights))
        panel.set_facecolor(FAINT)
        panel.imshow(table.weights, cmap="Blues", vmin=0.0, vmax=darkest, aspect="auto")
        for spine in panel.spines.values():
            spine.set_visible(False)
        for names, axis in ((table.experts, panel.xaxis), (table.owners, panel.yaxis)):
            ticks = range(0, len(names), math.ceil(len(names) / NAMED))
            axis.set_ticks(ticks, [names[i] for i in ticks])
        panel.tick_params(axis="x", rotation=90 if max(map(len, table.experts)) > 2 else 0)
        if all(size <= most for size, most in zip(table.weights.shape, WRITTEN, strict=True)):
            for (i, j), weight in np.ndenumerate(table.weights):
                if np.isfinite(weight):
                    ink = "white" if weight > 0.6 * darkest else INK
                    panel.text(j, i, f"{weight:.2f}", ha="center", va="center", fontsize=7, color=ink)
    return figure
