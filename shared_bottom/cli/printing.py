"""Prints tables on standard output, the metrics among them."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 100
"""The width of a table in characters if standard output is not a terminal, or is a narrower one."""

Metrics = dict[str, dict[str, float]]
"""The metrics by task and by name."""


def print_table(title: str, names: Sequence[str], rows: Iterable[Sequence[str]], totals: Sequence[str] = ()) -> None:
    """Print a table whose first column is text and whose other columns are numbers.

    title: a line above the table, if not empty.
    names: the names of the columns.
    rows: the cells of each row.
    totals: the cells of a last row, which a line separates from the others; () for none.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=bool(totals))
    for i, name in enumerate(names):
        footer = totals[i] if totals else ""
        table.add_column(name, footer=footer, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, WIDTH)
    if title:  # printed here, because rich would wrap the title of a table at the table's width
        console.print(title, soft_wrap=True)
    console.print(table)


def print_metrics(title: str, metrics: Metrics) -> None:
    """Print a table of metrics, with a row for each task and a column for each metric.

    title: a line above the table.
    metrics: the metrics. A task need not have all of them.
    """
    names = list(dict.fromkeys(name for task_metrics in metrics.values() for name in task_metrics))
    rows = [
        [task, *(f"{task_metrics[name]:#.5g}" if name in task_metrics else "" for name in names)]
        for task, task_metrics in metrics.items()
    ]
    print_table(title, ["task", *names], rows)
