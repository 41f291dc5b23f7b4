"""How the plots look: each task has one colour and one panel, and a figure has only as many panels as stay readable."""

import io
import math
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The colours of Okabe & Ito (Color Universal Design, 2008), without black, and without yellow, which is too pale."""
INK, FAINT = "#222222", "#D0D0D0"
"""The colours of what belongs to no task: lines and texts, and what must not attract attention."""
PANELS = 66
"""The largest number of panels in a figure: 11 rows of 6, which is enough for 64 tasks and the total."""
DENSE = 2000
"""If a line has more points, it is an image within the SVG. As a path it would be larger, and slow to open."""
WIDTH, DPI = 10.0, 130
"""The width of a figure in inches, and the resolution of the PNG in dots per inch."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "agg.path.chunksize": 10_000,  # matplotlib can fail to draw a line of a million points in one piece
    "axes.formatter.useoffset": False,
    "figure.constrained_layout.w_pad": 0.08,
    "svg.fonttype": "none",
    "svg.hashsalt": "reports",  # fixed, so that the same run always gives the same file
}


def colours(tasks: Iterable[str]) -> dict[str, str]:
    """The colour of each task, by its name.

    There are six colours. From the seventh task on they are repeated, and only the titles of the panels tell the tasks
    apart.
    """
    return dict(zip(tasks, cycle(PALETTE), strict=False))


def panels(
    names: Sequence[str], x: str, y: str, *, height: float = 0.62, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure with several panels, and the axes of its panels.

    names: the title of each panel. If there are more than PANELS, only the first ones have a panel, and the figure's
    title says so.
    x, y: the labels of the axes. Only the lowest and the leftmost panels have them.
    height: the height of a panel, as a share of its width.
    sharey: whether all panels have the same y axis.
    """
    shown = names[:PANELS]
    columns = min(len(shown), 6 if len(shown) > 16 else 3 if len(shown) in (5, 6, 9) else 4)
    rows = math.ceil(len(shown) / columns)
    width = WIDTH / max(columns, 2 if height < 0.8 else 3)
    small = columns == 6
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, rows * (width * height + 0.3)), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
        for i, (name, panel) in enumerate(zip(shown, axes, strict=False)):
            panel.set_title(name, fontsize=7 if small else 9)
            panel.tick_params(labelsize=6 if small else 8, color="#888888")
            panel.locator_params(nbins=3 if small else 6)
            panel.set(xlabel=x if i + columns >= len(shown) else "", ylabel=y if i % columns == 0 else "")
        for unused in axes[len(shown) :]:
            unused.remove()
        if len(names) > PANELS:
            figure.suptitle(f"the first {PANELS} of {len(names)}", fontsize=9)
    return figure, axes[: len(shown)]


def note(axes: Axes, text: str) -> None:
    """Write a text into the middle of a panel that has nothing else to show."""
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#666666", fontsize=8, wrap=True
    )
    axes.set(xticks=[], yticks=[])


def render(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as a PNG and as an SVG. Its layout is fixed by this call, and cannot change any more."""
    png, svg = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # so that the layout is computed once only, and not again for each format
        figure.savefig(png, format="png", dpi=DPI)
        figure.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None})
    return png.getvalue(), svg.getvalue()
