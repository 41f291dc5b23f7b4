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
INK, FAINT = "#222222", "#D0D0D0"
PANELS = 66
"""Most panels of a figure: 11 rows of 6, so that 64 tasks and their total are all there."""
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
    "agg.path.chunksize": 10_000,  # a line of a million points is too much at once
    "axes.formatter.useoffset": False,
    "figure.constrained_layout.w_pad": 0.08,
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
    columns = min(len(shown), 6 if len(shown) > 16 else 3 if len(shown) in (5, 6, 9) else 4)
    rows = math.ceil(len(shown) / columns)
    width = WIDTH / max(columns, 2 if height < 0.8 else 3)
    small = columns == 6
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, rows * (width * height + 0.3)), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
        for i, (name, own) in enumerate(zip(shown, axes, strict=False)):
            own.set_title(name, fontsize=7 if small else 9)
            own.tick_params(labelsize=6 if small else 8, color="#888888")
            own.locator_params(nbins=3 if small else 6)
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


def render(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as a PNG and as an SVG. Its layout is final then."""
    png, svg = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # done once, and not for each format
        figure.savefig(png, format="png", dpi=DPI)
        figure.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None})
    return png.getvalue(), svg.getvalue()
