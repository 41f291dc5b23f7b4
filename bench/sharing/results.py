"""The results of a comparison of tasks alone and together, as written to JSON: `Sharing` has one `Seed` for each seed.

The schema of the file has a version. A reader of version 1 may rely on all fields below; if the meaning of a field
changes, the version is increased. `spec.json_schema(Sharing)` gives the schema. NaN is written as "NaN".
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
from spec.tasks import HIGHER_IS_BETTER

CONFIDENCE = 0.95
Verdict = Literal["helps", "hurts", "no difference shown", "not known"]


@dataclass(kw_only=True, config=RECORD)
class Seed:
    """The results of the runs of one seed."""

    seed: int
    alone: dict[str, dict[str, float]]
    """The metrics of each task trained alone, by task and metric."""
    shared: dict[str, dict[str, float]]
    """The same for all tasks trained together."""
    cosine: dict[str, list[float]]
    """By pair of tasks ("a, b"): the cosine of their gradients on the shared parameters, at the start and at the end of
    each epoch. It is NaN if one of the gradients is 0."""
    seconds: float
    """Wall clock time of all runs and gradients."""


@dataclass(kw_only=True, config=RECORD)
class Outcome:
    """The effect of sharing on the main metric of a task. Deviations are over seeds, and None with fewer than two."""

    task: str
    metric: str
    seeds: int
    """The number of seeds behind the deviations and the interval."""
    alone: float
    alone_deviation: float | None
    shared: float
    shared_deviation: float | None
    difference: float
    """The mean over seeds of the gain by sharing, in the unit of the metric; above 0 if sharing is better."""
    interval: tuple[float, float] | None
    """The 95 % confidence interval of the difference: Student's t, paired by seed. None with fewer than 2 seeds."""
    verdict: Verdict
    """helps and hurts: the interval excludes 0. not known: there is no interval."""


@dataclass(kw_only=True, config=RECORD)
class Pair:
    """The cosine of two tasks' gradients. NaNs are left out; a value is NaN if nothing else is left."""

    tasks: str
    start: float
    """The mean over seeds at the start of training."""
    mean: float
    """The mean over seeds, the start and the end of each epoch."""
    lowest: float
    """The lowest of all these values."""
    negative: float
    """The fraction of all these values that is below 0."""


@dataclass(kw_only=True, config=RECORD)
class Sharing:
    """The result of one command."""

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
    """As in the experiment. Its seed is the first seed; early stopping was not used."""
    training_rows: int
    labelled: dict[str, float]
    """By task: the fraction of the training rows that have its label."""
    evaluated_on: Literal["test", "validation"]
    evaluated_rows: int
    steps: int
    """Number of optimizer steps of each run."""
    gradient_rows: int
    """Number of training rows on which the gradients are computed."""
    stopped: str | None = None
    """What ended the command before all seeds were done."""
    notes: list[str] = Field(default_factory=list)
    """Why a metric is not defined, and other warnings of the evaluation."""
    seeds: list[Seed] = Field(default_factory=list)
    outcomes: list[Outcome] = Field(default_factory=list)
    """One for each task, over the seeds that are done."""
    pairs: list[Pair] = Field(default_factory=list)
    """One for each pair of tasks, over the seeds that are done."""


def main_metrics(model: ModelSpec) -> dict[str, str]:
    """The main metric of each task."""
    return {task.name: task.metrics[0] for task in model.tasks}


def pair_names(model: ModelSpec) -> list[str]:
    """The names of all pairs of tasks, in the order of the spec."""
    return [f"{a.name}, {b.name}" for a, b in itertools.combinations(model.tasks, 2)]


def summarise(run: Sharing) -> None:
    """Fill in `outcomes` and `pairs` from the seeds, of which there is at least one."""
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
    """The outcome of a task. alone, shared: its metric with each seed."""
    gains = np.subtract(shared, alone) * (1 if HIGHER_IS_BETTER[metric] else -1)
    interval = confidence_interval(gains)
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
        difference=float(gains.mean()),
        interval=interval,
        verdict=verdict,
    )


def deviation(values: Iterable[float]) -> float | None:
    """The standard deviation of a sample; None with fewer than two values."""
    sample = np.array(list(values))
    return float(sample.std(ddof=1)) if len(sample) > 1 else None


def confidence_interval(sample: np.ndarray) -> tuple[float, float] | None:
    """The 95 % confidence interval of the mean, by Student's t.

    sample: values (n,). None if n < 2 or a value is not finite.
    """
    spread = deviation(sample)
    if spread is None or not math.isfinite(spread):
        return None
    half_width = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(sample) - 1)) * spread / math.sqrt(len(sample))
    return float(sample.mean()) - half_width, float(sample.mean()) + half_width


def pair(name: str, cosines: list[list[float]]) -> Pair:
    """The summary of a pair. cosines: by seed, at the start and at the end of each epoch."""
    values = np.array(cosines)
    start, finite = values[:, 0], values[np.isfinite(values)]
    start = start[np.isfinite(start)]
    nan = float("nan")
    return Pair(
        tasks=name,
        start=float(start.mean()) if len(start) else nan,
        mean=float(finite.mean()) if len(finite) else nan,
        lowest=float(finite.min()) if len(finite) else nan,
        negative=float((finite < 0).mean()) if len(finite) else nan,
    )


def to_json(run: Sharing) -> bytes:
    """The run as JSON."""
    return TypeAdapter(Sharing).dump_json(run, indent=2)
