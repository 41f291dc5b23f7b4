"""How plots look: one colour a task, one panel a task, and as many panels as stay readable."""

import io
import math
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito's colours (Color Universal Design, 2008), without black and yellow, which is pale on white."""
INK, FAINT = "#222222", "#B8B8B8"
PANELS = 64
"""Most panels of a figure."""
DENSE = 2000
"""Points beyond which a line is an image within the SVG: as a path it would be larger, and slow to open."""
WIDTH, DPI = 10.0, 130
"""Inches, and dots an inch of images."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "reports",  # so that the same run gives the same file
}


def colours(tasks: Iterable[str]) -> dict[str, str]:
    """Each task's colour, in the order of the model; after six they come again, and the panels' titles tell."""
    return dict(zip(tasks, cycle(PALETTE), strict=False))


def panels(
    names: Sequence[str], x: str, y: str, *, height: float = 0.62, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each name, its title; of more than PANELS names the first, and a line that says so.

    x, y: the axes' labels, which stand below and to the left of them all. height: of a panel, as a share of its width.
    """
    shown = names[:PANELS]
    columns = min(len(shown), 3 if len(shown) <= 9 else 4 if len(shown) <= 16 else 6)
    rows = math.ceil(len(shown) / columns)
    width = WIDTH / max(columns, 2)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, rows * (width * height + 0.3)), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
        for i, (name, own) in enumerate(zip(shown, axes, strict=False)):
            own.set_title(name, fontsize=9 if columns < 6 else 7)
            own.tick_params(labelsize=8 if columns < 6 else 6, color="#888888")
            own.set(xlabel=x if i + columns >= len(shown) else "", ylabel=y if i % columns == 0 else "")
        for own in axes[len(shown) :]:
            own.remove()
        if len(names) > PANELS:
            figure.suptitle(f"the first {PANELS} of {len(names)}", fontsize=9)
    return figure, axes[: len(shown)]


def note(axes: Axes, text: str) -> None:
    """A line in the middle of a panel that has nothing else to show."""
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#666666", fontsize=8, wrap=True
    )
    axes.set(xticks=[], yticks=[])


def render(figure: Figure, form: str) -> bytes:
    """The figure as "png" or "svg"."""
    file = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(file, format=form, dpi=DPI, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()
