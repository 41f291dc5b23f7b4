"""What the commands print: tables on standard output, the metrics among them; errors and warnings on standard error."""

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO, cast

from rich import box
from rich.console import Console
from rich.table import Table

from shared_bottom.run.streams import Stream, unfailing
from shared_bottom.tables.summary import HEADER, ColumnSummary, cells, label_lines
from spec.validation import plain

WIDTH = 100
"""The width of a table in characters if standard output is not a terminal, or is a narrower one."""
MOST = 20
"""The largest number of rows of a table that has one for each column."""

LONGEST = 2000
"""The most characters of an error or a warning; of a longer one, the middle is left out."""

Metrics = dict[str, dict[str, float]]
"""The metrics by task and by name."""


class OutputError(BaseException):
    """Standard output cannot be written. It is no Exception, so that no library takes it for an error of its own."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextmanager
def standard_streams() -> Iterator[None]:
    """Within the block, both standard streams write what their encoding has.

    What standard error cannot take is dropped. If standard output fails, the block ends with SystemExit: silently with
    the exit code 141 (128 + SIGPIPE) if its reader has gone, as `head` does, or else with an error and the code 1.
    """
    for descriptor in range(3):  # of one that is closed, a file of ours would take the place, and get what is printed
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)

    def failed(error: OSError) -> None:
        raise OutputError(error)

    output, errors = Stream(sys.stdout, failed), unfailing(sys.stderr)
    last_errors = Stream(sys.stderr, lambda error: errors.give_up())
    with redirect_stdout(cast(TextIO, output)), redirect_stderr(cast(TextIO, errors)):
        try:
            try:
                yield
            finally:
                output.flush()
        except OutputError as failure:
            output.give_up()
            if isinstance(failure.reason, BrokenPipeError):
                raise SystemExit(128 + signal.SIGPIPE) from None
            say("error", f"standard output: {failure.reason.strerror}")
            raise SystemExit(1) from None
        finally:
            last_errors.flush()


def say(kind: str, text: str) -> None:
    """Print an error or a warning as one line, with what cannot be printed, such as a terminal's escapes, written out.

    kind: what the line begins with.
    text: the message, which may have come from a file.
    """
    line = plain(text)
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    print(f"{kind}: {line}", file=sys.stderr)


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
        table.add_column(plain(name), footer=footer, justify="right" if i >= texts else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, WIDTH)
    if title:  # printed here, because rich would wrap the title of a table at the table's width
        console.print(plain(title), soft_wrap=True)
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    print("\n".join(lines if title else lines[1:]))  # without a title, the blank line above a table is one too many


def print_written(*paths: Path | None) -> None:
    """Print of each file that was written how large it is. None: nothing."""
    for path in paths:
        if path is not None:
            print(f"{path.stat().st_size:,} bytes: {plain(str(path))}")


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
            print(plain(line))


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
