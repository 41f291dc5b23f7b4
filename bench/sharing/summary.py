"""What the seeds of a comparison say together: means, deviations, confidence intervals, verdicts."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from scipy import stats

from bench.sharing.results import ALONE, Outcome, Pair, Sharing, Verdict, main_metrics
from shared_bottom.reports.gates import LevelGates, gate_tables
from spec.metrics import higher_is_better

CONFIDENCE = 0.95


def summarise(run: Sharing) -> None:
    """Fill in `outcomes` and `pairs` from the seeds, of which there is at least one."""

    def values(way: str, task: str, metric: str) -> list[float]:
        return [(seed.alone if way == ALONE else seed.ways[way].metrics)[task][metric] for seed in run.seeds]

    ways = list(run.ways)
    run.outcomes = [
        outcome(task, metric, values(against, task, metric), values(way, task, metric), way=way, against=against)
        for against, compared in ((ALONE, ways), (run.base, [way for way in ways if way != run.base]))
        for task, metric in main_metrics(run.model).items()
        for way in compared
    ]
    run.pairs = [
        pair(tasks, [seed.ways[way].cosine[tasks] for seed in run.seeds], way=way)
        for way in run.ways
        for tasks in run.seeds[0].ways[way].cosine
    ]


def outcome(
    task: str,
    metric: str,
    reference: list[float],
    values: list[float],
    *,
    way: str = "shared_bottom",
    against: str = ALONE,
) -> Outcome:
    """The outcome of a task. reference, values: the metric with each seed of what is compared with, and of the way."""
    gains = np.subtract(values, reference) * (1 if higher_is_better(metric) else -1)
    interval = confidence_interval(gains)
    verdict: Verdict = "not known"
    if interval:
        verdict = "helps" if interval[0] > 0 else "hurts" if interval[1] < 0 else "no difference shown"
    return Outcome(
        task=task,
        metric=metric,
        way=way,
        against=against,
        seeds=len(values),
        reference=float(np.mean(reference)),
        reference_deviation=deviation(reference),
        value=float(np.mean(values)),
        value_deviation=deviation(values),
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


def pair(tasks: str, cosines: list[list[float]], *, way: str = "shared_bottom") -> Pair:
    """The summary of a pair. cosines: by seed, at the start and at the end of each epoch."""
    values = np.array(cosines)
    start, finite = values[:, 0], values[np.isfinite(values)]
    start = start[np.isfinite(start)]
    nan = float("nan")
    return Pair(
        way=way,
        tasks=tasks,
        start=float(start.mean()) if len(start) else nan,
        mean=float(finite.mean()) if len(finite) else nan,
        lowest=float(finite.min()) if len(finite) else nan,
        negative=float((finite < 0).mean()) if len(finite) else nan,
    )


def gates(run: Sharing) -> Iterator[LevelGates]:
    """Each level of each gated way, with the first seed: the experts of another seed have other uses."""
    for name, way in run.ways.items():
        yield from gate_tables(way.models[0], run.seeds[0].ways[name].gates)
