"""What a comparison of tasks alone and together found, as it is written to JSON: `Sharing`, with a `Seed` for each.

The file's schema is versioned: a reader of version 1 may rely on every field below; a field that changes its meaning
counts the version up. `json_schema(Sharing)` of spec prints it. NaN is written as "NaN".
"""

import itertools
import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass
from scipy import stats

from bench.results import RECORD
from spec import ModelSpec, TrainSpec
from spec.machine import Machine
from spec.tasks import METRICS

CONFIDENCE = 0.95
Verdict = Literal["helps", "hurts", "no difference shown", "not known"]


@dataclass(kw_only=True, config=RECORD)
class Seed:
    """What the runs of one seed gave."""

    seed: int
    alone: dict[str, dict[str, float]]
    """By task and metric, of the task trained alone."""
    shared: dict[str, dict[str, float]]
    """The same, trained together."""
    cosine: dict[str, list[float]]
    """By pair of tasks ("a, b"), of their gradients on the shared parameters: at the start, then at each epoch's end.
    NaN where one of them is 0."""
    seconds: float
    """Wall clock, all runs and gradients."""


@dataclass(kw_only=True, config=RECORD)
class Outcome:
    """What sharing does to a task's main metric. Deviations are over seeds, and None of fewer than two."""

    task: str
    metric: str
    seeds: int
    """n of the deviations and of the interval."""
    alone: float
    alone_deviation: float | None
    shared: float
    shared_deviation: float | None
    difference: float
    """Mean over seeds of shared against alone, in the metric's unit; above 0 if sharing is better."""
    interval: tuple[float, float] | None
    """Where the difference lies at 95 %: Student's t of the differences, paired by seed. None of fewer than 2 seeds."""
    verdict: Verdict
    """helps, hurts: the interval excludes 0. not known: there is none."""


@dataclass(kw_only=True, config=RECORD)
class Pair:
    """The cosine of two tasks' gradients. NaNs are left out; NaN if there is nothing else."""

    tasks: str
    start: float
    """At the start, mean over seeds."""
    mean: float
    """Over seeds, the start and each epoch's end."""
    lowest: float
    negative: float
    """Share of all these below 0."""


@dataclass(kw_only=True, config=RECORD)
class Sharing:
    """One command's outcome."""

    schema_version: Literal[1] = 1
    command: str
    started: str
    """ISO 8601, UTC."""
    name: str
    rows_from: str
    backend: str
    threads: int
    machine: Machine
    model: ModelSpec
    train: TrainSpec
    """As the experiment has it. Its seed is the first one; its early stopping is left out."""
    training_rows: int
    labelled: dict[str, float]
    """By task: the share of the training rows that have its label."""
    evaluated_on: Literal["test", "validation"]
    evaluated_rows: int
    steps: int
    """Optimizer steps of each run."""
    gradient_rows: int
    """Training rows that the gradients are taken of."""
    stopped: str | None = None
    """What ended it before all seeds were done."""
    notes: list[str] = Field(default_factory=list)
    """Why a metric is not defined, and other warnings of evaluation."""
    seeds: list[Seed] = Field(default_factory=list)
    outcomes: list[Outcome] = Field(default_factory=list)
    """By task, over the seeds that are done."""
    pairs: list[Pair] = Field(default_factory=list)
    """By pair of tasks, over the seeds that are done."""


def main_metrics(model: ModelSpec) -> dict[str, str]:
    """Each task's main metric."""
    return {task.name: task.traits.metrics[0] for task in model.tasks}


def pair_names(model: ModelSpec) -> list[str]:
    """Every two tasks, in the spec's order."""
    return [f"{a.name}, {b.name}" for a, b in itertools.combinations(model.tasks, 2)]


def summarise(run: Sharing) -> None:
    """Fill in what follows from the seeds; at least one."""
    run.outcomes = [
        outcome(
            task,
            metric,
            [seed.alone[task][metric] for seed in run.seeds],
            [seed.shared[task][metric] for seed in run.seeds],
        )
        for task, metric in main_metrics(run.model).items()
    ]
    run.pairs = [pair(name, [seed.cosine[name] for seed in run.seeds]) for name in pair_names(run.model)]


def outcome(task: str, metric: str, alone: list[float], shared: list[float]) -> Outcome:
    """The outcome of a task whose metric was `alone` and `shared`, by seed."""
    difference = np.subtract(shared, alone) * (1 if METRICS[metric] else -1)
    mean, interval = float(difference.mean()), student(difference)
    verdict: Verdict = "not known"
    if interval:
        verdict = "helps" if interval[0] > 0 else "hurts" if interval[1] < 0 else "no difference shown"
    return Outcome(
        task=task,
        metric=metric,
        seeds=len(alone),
        alone=float(np.mean(alone)),
        alone_deviation=deviation(alone),
        shared=float(np.mean(shared)),
        shared_deviation=deviation(shared),
        difference=mean,
        interval=interval,
        verdict=verdict,
    )


def deviation(values: Iterable[float]) -> float | None:
    """The standard deviation that a sample of two or more estimates."""
    found = np.array(list(values))
    return float(found.std(ddof=1)) if len(found) > 1 else None


def student(values: np.ndarray) -> tuple[float, float] | None:
    """Where the mean of what `values` (n,) are a sample of lies at 95 %; None if n < 2 or one is not finite."""
    spread = deviation(values)
    if spread is None or not math.isfinite(spread):
        return None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * spread / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


def pair(name: str, cosines: list[list[float]]) -> Pair:
    """The summary of a pair's cosines by seed and moment."""
    found = np.array(cosines)
    start, known = found[:, 0], found[np.isfinite(found)]
    start = start[np.isfinite(start)]
    nothing = float("nan")
    return Pair(
        tasks=name,
        start=float(start.mean()) if len(start) else nothing,
        mean=float(known.mean()) if len(known) else nothing,
        lowest=float(known.min()) if len(known) else nothing,
        negative=float((known < 0).mean()) if len(known) else nothing,
    )


def to_json(run: Sharing) -> bytes:
    """The run as JSON."""
    return TypeAdapter(Sharing).dump_json(run, indent=2)
