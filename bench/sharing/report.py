"""What a comparison of tasks alone and together prints."""

import math
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from bench.report import WIDTH
from bench.sharing.results import Outcome, Pair, Sharing

PAIRS = 10
"""Most pairs of tasks that a table has."""


def print_sharing(run: Sharing) -> None:
    """A table by task, one by pair of tasks, and what to know when reading them."""
    out = Console(width=max(Console().width, WIDTH), highlight=False, markup=False)
    out.print(f"{run.name}: {run.rows_from}; {run.training_rows:,} training rows, {count(len(run.seeds), 'seed')}.")
    out.print(f"{run.backend}; {run.machine.processor}, threads: {run.threads}\n")
    out.print(
        f"Main metric on the {run.evaluated_rows:,} {run.evaluated_on} rows, mean ± standard deviation over seeds"
    )
    out.print(tasks_table(run), "")
    pairs = least_agreeing(run.pairs)[:PAIRS]
    some = f", {len(pairs)} of {len(run.pairs)}" if len(pairs) < len(run.pairs) else ""
    out.print(f"Cosine of the tasks' gradients on the shared parameters (trunk, embeddings), lowest first{some}")
    out.print(pairs_table(pairs), "")
    for line in explanations(run):
        out.print(line)


def tasks_table(run: Sharing) -> Table:
    """Each task's main metric alone and together."""
    table = _table(("task", "metric"), ("alone", "shared", "difference"))
    table.add_column("sharing", no_wrap=True)
    for found in run.outcomes:
        digits = decimals(found)
        table.add_row(
            found.task,
            found.metric,
            _spread(found.alone, found.alone_deviation, f".{digits}f"),
            _spread(found.shared, found.shared_deviation, f".{digits}f"),
            _spread(found.difference, found.interval and found.interval[1] - found.difference, f"+.{digits}f"),
            found.verdict,
        )
    return table


def pairs_table(pairs: list[Pair]) -> Table:
    """The pairs' cosines."""
    table = _table(("tasks",), ("at the start", "mean", "lowest", "below 0"))
    for found in pairs:
        values = (_number(value, "+.3f") for value in (found.start, found.mean, found.lowest))
        table.add_row(found.tasks, *values, _number(found.negative, ".0%"))
    return table


def least_agreeing(pairs: list[Pair]) -> list[Pair]:
    """The pairs from the lowest mean cosine upwards, those without one last."""
    return sorted(pairs, key=lambda found: (math.isnan(found.mean), found.mean))


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


def count(number: int, what: str) -> str:
    """1 seed, 2 seeds."""
    return f"{number:,} {what}{'s'[: number != 1]}"


def decimals(found: Outcome) -> int:
    """Places after the point that show five digits of the larger of both means."""
    largest = max(abs(found.alone), abs(found.shared))
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
