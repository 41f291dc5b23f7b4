"""What a comparison of tasks alone and together prints."""

import math
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from bench.report import WIDTH
from bench.sharing.results import Outcome, Pair, Sharing

PAIRS = 10
"""Largest number of pairs of tasks in the table."""


def print_sharing(run: Sharing) -> None:
    """Print a table of the tasks, a table of the pairs of tasks, and explanations."""
    console = Console(width=max(Console().width, WIDTH), highlight=False, markup=False)
    console.print(f"{run.name}: {run.rows_from}; {run.training_rows:,} training rows, {count(len(run.seeds), 'seed')}.")
    console.print(f"{run.backend}; {run.machine.processor}, threads: {run.threads}\n")
    console.print(
        f"Main metric on the {run.evaluated_rows:,} {run.evaluated_on} rows, mean ± standard deviation over seeds"
    )
    console.print(tasks_table(run), "")
    pairs = least_agreeing(run.pairs)[:PAIRS]
    note = f", {len(pairs)} of {len(run.pairs)}" if len(pairs) < len(run.pairs) else ""
    console.print(f"Cosine of the tasks' gradients on the shared parameters (trunk, embeddings), lowest first{note}")
    console.print(pairs_table(pairs), "")
    for line in explanations(run):
        console.print(line)


def tasks_table(run: Sharing) -> Table:
    """The main metric of each task, trained alone and together."""
    table = _table(("task", "metric"), ("alone", "shared", "difference"))
    table.add_column("sharing", no_wrap=True)
    for outcome in run.outcomes:
        digits = decimals(outcome)
        half_interval = outcome.interval and outcome.interval[1] - outcome.difference
        table.add_row(
            outcome.task,
            outcome.metric,
            _spread(outcome.alone, outcome.alone_deviation, f".{digits}f"),
            _spread(outcome.shared, outcome.shared_deviation, f".{digits}f"),
            _spread(outcome.difference, half_interval, f"+.{digits}f"),
            outcome.verdict,
        )
    return table


def pairs_table(pairs: list[Pair]) -> Table:
    """The cosines of each pair of tasks."""
    table = _table(("tasks",), ("at the start", "mean", "lowest", "below 0"))
    for pair in pairs:
        values = (_number(value, "+.3f") for value in (pair.start, pair.mean, pair.lowest))
        table.add_row(pair.tasks, *values, _number(pair.negative, ".0%"))
    return table


def least_agreeing(pairs: list[Pair]) -> list[Pair]:
    """The pairs sorted by their mean cosine, the lowest first and those without one last."""
    return sorted(pairs, key=lambda pair: (math.isnan(pair.mean), pair.mean))


def explanations(run: Sharing) -> Iterator[str]:
    """The lines below the tables."""
    seeds = len(run.seeds)
    if run.stopped:
        yield f"Stopped before the end, by {run.stopped}: these are the seeds that were done."
    yield f"Alone and shared: {run.steps:,} steps each, on the same rows in the same order, from the same trunk."
    if run.train.early_stopping:
        yield "Early stopping is left out, so that no run has fewer steps than another."
    yield "difference: above 0 if sharing is better, whichever way the metric goes."
    if seeds > 1:
        yield f"± there: half the 95 % interval, Student's t paired by seed (n = {seeds}); helps, hurts: 0 is outside."
        yield "It tells of other seeds, not of other rows, of each task by itself: one in twenty errs by chance."
    else:
        yield "One seed gives no interval, and so no verdict."
    yield f"Gradients: of {run.gradient_rows:,} training rows, without dropout, at the start and after every epoch."
    for task, share in run.labelled.items():
        if share < 1:
            yield f"{task}: {share:.1%} of the training rows have its label; alone, the others are empty rows."
    if any(task.traits.label == "number" for task in run.model.tasks):
        yield "rmse is in the unit that the network learns, after the label's transform and scaling if it has any."
    yield from run.notes


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 seed", "2 seeds"."""
    return f"{number:,} {noun}{'s'[: number != 1]}"


def decimals(outcome: Outcome) -> int:
    """How many decimal places show five digits of the larger of both means."""
    largest = max(abs(outcome.alone), abs(outcome.shared))
    return 5 if not largest or not math.isfinite(largest) else max(0, 5 - math.ceil(math.log10(largest)))


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"


def _spread(mean: float, spread: float | None, form: str) -> str:
    known = spread is not None and math.isfinite(spread)
    return _number(mean, form) + (f" ± {format(spread, form.removeprefix('+'))}" if known else "")


def _table(names: tuple[str, ...], figures: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table
