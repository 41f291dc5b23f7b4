"""Tables on standard output, and the metrics as one."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 100
"""Where there is no terminal; one that is wider is used."""

Metrics = dict[str, dict[str, float]]
"""By task and name."""


def print_table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]], totals: Sequence[str] = ()) -> None:
    """Prints the rows; the first column is text, the others are numbers. totals: a last row, apart."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=bool(totals))
    for i, name in enumerate(names):
        footer = totals[i] if totals else ""
        table.add_column(name, footer=footer, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, WIDTH)
    if title:  # not the table's own, which would fold it at the table's width
        console.print(title, soft_wrap=True)
    console.print(table)


def print_metrics(title: str, metrics: Metrics) -> None:
    """Prints the metrics, a task a row."""
    names = list(dict.fromkeys(name for own in metrics.values() for name in own))
    rows = [[task, *(f"{own[name]:#.5g}" if name in own else "" for name in names)] for task, own in metrics.items()]
    print_table(title, ["task", *names], rows)
