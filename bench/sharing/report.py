"""What a comparison of tasks alone and together prints."""

import math
import statistics
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from bench.report import WIDTH
from bench.sharing.results import ALONE, Outcome, Pair, Sharing
from bench.sharing.summary import gates
from shared_bottom.reports.gates import LevelGates

PAIRS = 10
"""Largest number of pairs of tasks in the table."""
EXPERTS = 8
"""Largest number of experts in a table of gates."""


def print_sharing(run: Sharing) -> None:
    """Print tables of the tasks, of the ways, of the gates and of the pairs of tasks, and explanations."""
    console = Console(width=max(Console().width, WIDTH), highlight=False, markup=False)
    console.print(f"{run.name}: {run.rows_from}; {run.training_rows:,} training rows, {count(len(run.seeds), 'seed')}.")
    console.print(f"{run.backend}; {run.machine.processor}, threads: {run.threads}\n")
    console.print(
        f"Main metric on the {run.evaluated_rows:,} {run.evaluated_on} rows, mean ± standard deviation over seeds"
    )
    if len(run.ways) == 1:
        console.print(tasks_table(run), "")
    else:
        for reference in (ALONE, run.base):
            console.print(ways_table(run.against(reference), reference), "")
        console.print(f"What each way costs, beside {run.base}")
        console.print(costs_table(run), "")
    for level in gates(run):
        rows = f"the {run.evaluated_rows:,} {run.evaluated_on} rows, seed {run.seeds[0].seed}"
        console.print(f"{level.title}: the gates' mean weight of each expert over {rows}")
        for table in gates_tables(level):
            console.print(table, "")
    pairs = least_agreeing(run.pairs)[:PAIRS]
    if pairs:
        note = f", {len(pairs)} of {len(run.pairs)}" if len(pairs) < len(run.pairs) else ""
        console.print(f"Cosine of the tasks' gradients on the shared parameters{_shared(run)}, lowest first{note}")
        console.print(pairs_table(run, pairs), "")
    for line in explanations(run):
        console.print(line)


def tasks_table(run: Sharing) -> Table:
    """The main metric of each task, trained alone and together."""
    table = _table(("task", "metric"), ("alone", "shared", "difference"))
    table.add_column("sharing", no_wrap=True)
    for outcome in run.outcomes:
        table.add_row(outcome.task, outcome.metric, *figures(outcome), outcome.verdict)
    return table


def ways_table(outcomes: list[Outcome], reference: str) -> Table:
    """The main metric of each task: of what the ways are compared with, and then of each way."""
    table = _table(("task", "metric", "way"), ("value", f"over {reference}"))
    table.add_column("verdict", no_wrap=True)
    task = None
    for outcome in outcomes:
        compared_with, value, difference = figures(outcome)
        if outcome.task != task:
            table.add_row(outcome.task, outcome.metric, reference, compared_with)
        table.add_row("", "", outcome.way, value, difference, outcome.verdict)
        task = outcome.task
    return table


def figures(outcome: Outcome) -> tuple[str, str, str]:
    """The metric of what the way is compared with, that of the way, and the difference."""
    digits = decimals(outcome)
    half_interval = outcome.interval and outcome.interval[1] - outcome.difference
    return (
        _spread(outcome.reference, outcome.reference_deviation, f".{digits}f"),
        _spread(outcome.value, outcome.value_deviation, f".{digits}f"),
        _spread(outcome.difference, half_interval, f"+.{digits}f"),
    )


def costs_table(run: Sharing) -> Table:
    """Parameters, arithmetic and time of each way."""
    table = _table(("way",), ("parameters", "times", "MFLOP a step", "times", "s a training", "times"))
    seconds = {ALONE: [seed.alone_seconds for seed in run.seeds]}
    seconds |= {way: [seed.ways[way].seconds for seed in run.seeds] for way in run.ways}
    base = run.ways[run.base]
    for name, way in {ALONE: run.alone, **run.ways}.items():
        median, base_median = statistics.median(seconds[name]), statistics.median(seconds[run.base])
        table.add_row(
            name,
            f"{way.parameters:,}",
            f"{way.parameters / base.parameters:.2f}",
            f"{way.flops / 1e6:,.1f}",
            f"{way.flops / base.flops:.2f}",
            f"{median:.2f}",
            f"{median / base_median:.2f}",
        )
    return table


def gates_tables(level: LevelGates) -> Iterator[Table]:
    """The weights of a level's experts by task, so many experts to a table."""
    for start in range(0, len(level.experts), EXPERTS):
        shown = slice(start, start + EXPERTS)
        table = _table(("gate of",), tuple(level.experts[shown]))
        for owner, weights in zip(level.owners, level.weights, strict=True):
            table.add_row(owner, *("" if math.isnan(weight) else f"{weight:.3f}" for weight in weights[shown]))
        yield table


def pairs_table(run: Sharing, pairs: list[Pair]) -> Table:
    """The cosines of each pair of tasks."""
    several = len(run.ways) > 1
    table = _table(("tasks", "way") if several else ("tasks",), ("at the start", "mean", "lowest", "below 0"))
    for pair in pairs:
        values = (_number(value, "+.3f") for value in (pair.start, pair.mean, pair.lowest))
        table.add_row(pair.tasks, *([pair.way] if several else []), *values, _number(pair.negative, ".0%"))
    return table


def least_agreeing(pairs: list[Pair]) -> list[Pair]:
    """The pairs sorted by their mean cosine, the lowest first and those without one last."""
    return sorted(pairs, key=lambda pair: (math.isnan(pair.mean), pair.mean))


def explanations(run: Sharing) -> Iterator[str]:
    """The lines below the tables."""
    seeds = len(run.seeds)
    if run.stopped:
        yield f"Stopped before the end, by {run.stopped}: these are the seeds that were done."
    trunk = ", from the same trunk" if list(run.ways) == ["shared_bottom"] else ""
    yield f"Alone and shared: {run.steps:,} steps each, on the same rows in the same order{trunk}."
    if set(run.ways) - {"shared_bottom"}:
        yield "Alone: one trunk and the head of the task."
    if run.train.early_stopping:
        yield "Early stopping is left out, so that no run has fewer steps than another."
    several = len(run.ways) > 1
    better = "over: above 0 if the way" if several else "difference: above 0 if sharing"
    yield f"{better} is better, whichever way the metric goes."
    if seeds > 1:
        yield f"± there: half the 95 % interval, Student's t paired by seed (n = {seeds}); helps, hurts: 0 is outside."
        yield "It tells of other seeds, not of other rows, of each task by itself: one in twenty errs by chance."
    else:
        yield "One seed gives no interval, and so no verdict."
    if several:
        yield "s a training: the median over seeds; compiling is included, and saving each epoch, but for alone."
        yield "alone: all tasks, one after the other."
    if any(way.gates for way in run.ways.values()):
        yield "Gates: expert 0 of one seed is not that of another, so the weights are those of one seed."
    if run.pairs:
        yield f"Gradients: of {run.gradient_rows:,} training rows, without dropout, at the start and after every epoch."
    for task, share in run.labelled.items():
        if share < 1:
            yield f"{task}: {share:.1%} of the training rows have its label; alone, the others are empty rows."
    if of_numbers := dict.fromkeys(task.metrics[0] for task in run.model.tasks if task.traits.label == "number"):
        metrics = " and ".join(of_numbers)
        yield f"{metrics}: in the unit that the network learns, after the label's transform and scaling if it has any."
    yield from run.notes


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 seed", "2 seeds"."""
    return f"{number:,} {noun}{'s'[: number != 1]}"


def decimals(outcome: Outcome) -> int:
    """How many decimal places show five digits of the larger of both means."""
    largest = max(abs(outcome.reference), abs(outcome.value))
    return 5 if not largest or not math.isfinite(largest) else max(0, 5 - math.ceil(math.log10(largest)))


def _shared(run: Sharing) -> str:
    """What the shared parameters are, where that is one thing."""
    return " (trunk, embeddings)" if list(run.ways) == ["shared_bottom"] else ""


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
