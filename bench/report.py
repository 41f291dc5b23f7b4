"""What a run of the bench prints."""

from collections.abc import Callable, Iterable

from rich import box
from rich.console import Console
from rich.table import Table

from bench.results import LOSS_TOLERANCE, REFERENCES, Row, Run

WIDTH = 100
RUN_LENGTHS = (100, 1_000, 10_000, 100_000, 1_000_000)
"""Numbers of steps for which the choice of "auto" is compared with the figures."""

Column = tuple[str, Callable[[Row], str]]


def print_run(run: Run) -> None:
    """Print a table of what training costs, a table of what compiling costs, and conclusions."""
    versions = ", ".join(f"{name} {version}" for name, version in run.machine.versions.items())
    console = Console(width=max(Console().width, WIDTH), highlight=False)
    foreign = sorted({f"({row.backend})" for row in run.rows if row.backend != row.process})
    note = f" {', '.join(foreign)}: a reference, in another backend's process." if foreign else ""
    console.print(f"{run.case}: {run.rows_from}.{note}")
    threads = "threads of each process" if run.compares_processes else "threads"
    console.print(f"{run.machine.processor}, {threads}: {run.threads}; {versions}")
    is_family = any(row.variant for row in run.rows)
    names: list[Column] = [
        ("backend", lambda row: row.backend if row.backend == row.process else f"({row.backend})"),
        ("execution", lambda row: row.execution),
    ]
    if run.ways:
        names.append(("", lambda row: row.way))
    if is_family:
        names.append(("", lambda row: row.variant))
    if run.compares_processes:
        names.append(("processes", lambda row: str(row.processes)))
    _print_table(
        console,
        "Once warm: the median of the repetitions, and from their 10th to their 90th percentile",
        run.rows,
        names,
        [
            ("µs/step", lambda row: f"{row.median:,.0f}"),
            ("10–90 %", lambda row: f"{row.percentile(10):,.0f}–{row.percentile(90):,.0f}"),
            *_speed(run),
        ],
    )
    disagreeing = run.disagreeing()
    _print_table(
        console,
        "The start: building, and the first call of so many steps with its compiling",
        run.rows,
        names,
        [
            ("device", lambda row: row.device),
            ("build\ns", lambda row: f"{row.build_seconds:.2f}"),
            ("first\ncall s", lambda row: f"{row.first_call_seconds:.2f}"),
            *_start(run),
            ("steps", lambda row: str(row.steps)),
            (
                f"loss of\nstep {run.rows[0].checked}" if run.rows else "loss",
                lambda row: f"{row.loss:.5f}" + (" ≠" if row in disagreeing else ""),
            ),
        ],
    )
    for line in conclusions(run):
        console.print(line)


def _speed(run: Run) -> list[Column]:
    """The columns that say how a row's speed is to be judged: in one way, by the arithmetic; in several, by the first.

    A family of networks is judged by how its time grows, one of data by its rows a second; processes, by what they add.
    """
    rows_per_second: Column = ("rows/s", lambda row: f"{row.rows_per_second:,.0f}")
    if run.compares_processes:
        return [
            rows_per_second,
            ("× fewest", lambda row: _ratio(run.over_fewest(row))),
            ("efficiency", lambda row: f"{run.efficiency(row):.0%}"),
            ("sum\nµs", lambda row: _optional(row.sum_median, "{:,.0f}")),
            ("of\nstep", lambda row: _optional(row.sum_share, "{:.0%}")),
        ]
    loop: Column = ("× loop", lambda row: _optional(run.speed_up(row), "{:.2f}"))
    if not run.ways:
        return [
            rows_per_second,
            ("GFLOP/s", lambda row: f"{row.gflops:.1f}"),
            ("of peak", lambda row: _optional(run.share_of_peak(row), "{:.0%}")),
            loop,
        ]
    growth: Column = ("over\nfirst", lambda row: _ratio(run.growth(row)))
    return [
        rows_per_second if run.case == "rows" else growth,
        (f"× {run.ways[0]}", lambda row: _ratio(run.over_first_way(row))),
        loop,
    ]


def _start(run: Run) -> list[Column]:
    """In one way, when compiling pays, and the peak of memory; in several, what each adds to what was held before."""
    if run.ways:
        return [("adds\nMB", lambda row: _optional(row.added_bytes, "{:,.0f}", 1e-6))]
    return [
        ("pays\nafter", lambda row: _optional(run.pays_after(row), "{:,.0f}")),
        ("peak\nMB", lambda row: _optional(row.device_bytes or row.host_bytes, "{:,.0f}", 1e-6)),
    ]


def conclusions(run: Run) -> Iterable[str]:
    """The sentences below the tables."""
    if run.interrupted:
        yield "Interrupted: what was measured so far."
    disagreeing = run.disagreeing()
    if len(run.rows) > 1 or disagreeing:
        largest = max(run.loss_difference(row) for row in run.rows)
        yield (
            f"Losses differ by {largest:.1e} of the middle one at most; more than {LOSS_TOLERANCE:g} is no agreement"
            + (
                f": ≠ marks {len(disagreeing)} of {len(run.rows)} rows, whose times are no result."
                if disagreeing
                else "."
            )
        )
    if not any(row.execution in REFERENCES for row in run.rows) and not run.compares_processes:
        yield "No loop to compare with: it needs PyTorch, fixed task weights, no dropout (its masks are the spec's)."
    for reason in run.left_out:
        yield f"Left out: {reason}."
    difference = run.backend_difference()
    if difference is not None:
        yield f"The backends' own losses differ by {difference:.1e}."
    for process, auto in run.auto.items():
        fastest = ", ".join(f"{steps:,} {run.fastest(process, steps)}" for steps in auto)
        chosen = ", ".join(f"{steps:,} {execution}" for steps, execution in auto.items())
        yield f"{process}: what ends first for so many steps, compiling included: {fastest};"
        yield f"{' ' * len(process)}  what auto takes: {chosen}."
    for process, tasks in run.metrics.items():
        values = ", ".join(
            f"{task} {name} {value:.4f}" for task, metrics in tasks.items() for name, value in metrics.items()
        )
        yield f"{process}, test rows after the whole training: {values}."
    if run.caches == "cold":
        yield "Cold: compile caches on disk were empty."
    else:
        yield f"Compile caches on disk: {run.caches}"


def _print_table(console: Console, title: str, rows: list[Row], names: list[Column], figures: list[Column]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name, _ in names:
        table.add_column(name, no_wrap=True)
    for name, _ in figures:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(cell(row) for _, cell in [*names, *figures]))
    console.print(table)


def _ratio(value: float | None) -> str:
    return _optional(value, "{:.2f}" if value is None or value < 100 else "{:,.0f}")


def _optional(value: float | None, form: str, scale: float = 1.0) -> str:
    return "–" if value is None else form.format(value * scale)


def compare(run: Run, earlier: Run, tolerance: float) -> bool:
    """Print the time of each row divided by its time in the earlier run.

    Returns True if a row is slower by more than `tolerance`, or if no row is in both runs.
    """
    before = {(row.name, row.device): row for row in earlier.rows if row.step_microseconds}
    now = {(row.name, row.device): row for row in run.rows if row.step_microseconds}
    both = now.keys() & before.keys()
    only = f"{len(now) - len(both)} only here, {len(before) - len(both)} only there"
    print(f"Against {earlier.started}: {len(both)} rows in both, {only}.")
    slower = 0
    for key in filter(both.__contains__, now):
        ratio = now[key].median / before[key].median
        too_slow = ratio > 1 + tolerance
        slower += too_slow
        verdict = "  slower than allowed" if too_slow else ""
        print(f"{key[0]}: {before[key].median:,.0f} → {now[key].median:,.0f} µs/step, × {ratio:.2f}{verdict}")
    print(f"{slower} of {len(both)} are slower than × {1 + tolerance:.3g}.")
    return slower > 0 or not both
