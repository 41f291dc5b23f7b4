"""Prints tables on standard output, the metrics among them."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from shared_bottom.tables.summary import HEADER, ColumnSummary, cells, label_lines

WIDTH = 100
"""The width of a table in characters if standard output is not a terminal, or is a narrower one."""
MOST = 20
"""The largest number of rows of a table that has one for each column."""

Metrics = dict[str, dict[str, float]]
"""The metrics by task and by name."""


def print_table(
    title: str, names: Sequence[str], rows: Iterable[Sequence[str]], totals: Sequence[str] = (), texts: int = 1
) -> None:
    """Print a table whose first columns are texts and whose other columns are numbers.

    title: a line above the table, if not empty.
    names: the names of the columns.
    rows: the cells of each row.
    totals: the cells of a last row, which a line separates from the others; () for none.
    texts: how many columns are texts.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=bool(totals))
    for i, name in enumerate(names):
        footer = totals[i] if totals else ""
        table.add_column(name, footer=footer, justify="right" if i >= texts else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, WIDTH)
    if title:  # printed here, because rich would wrap the title of a table at the table's width
        console.print(title, soft_wrap=True)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def shortened(rows: Sequence[Sequence[str]], most: int = MOST) -> list[Sequence[str]]:
    """The first rows of a table and, if they are more than `most`, one that says how many are left out."""
    left_out = len(rows) - most
    return [*rows[:most], [f"… and {left_out:,} more", *[""] * (len(rows[0]) - 1)]] if left_out > 0 else list(rows)


def print_columns(summaries: Sequence[ColumnSummary]) -> None:
    """Print what the training rows have in each column, the first inputs and labels only if they are many."""
    if summaries:
        inputs = [cells(summary) for summary in summaries if summary.role != "label"]
        labels = [cells(summary) for summary in summaries if summary.role == "label"]
        title = f"the columns of {summaries[0].rows:,} training rows"
        print_table(title, HEADER, [*shortened(inputs), *shortened(labels)], texts=2)
        for line in label_lines(summaries):
            print(line)


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
