"""The results of a comparison of tasks alone and together, as written to JSON: `Sharing` has one `Seed` for each seed.

The schema of the file has a version. A reader of version 2 may rely on all fields below; if the meaning of a field
changes, the version is increased. `spec.json_schema(Sharing)` gives the schema. NaN is written as "NaN".

Version 1 knew one way of sharing: what `ways` and `alone` of a seed say stood in its `shared`, `cosine` and `alone`,
and an outcome compared `shared` with `alone` only.
"""

from typing import Literal

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from bench.results import RECORD
from spec import ModelSpec, TrainSpec
from spec.flops import step_flops
from spec.machine import Machine
from spec.network import levels
from spec.params import parameter_count

ALONE = "alone"
"""What an outcome calls the tasks that are trained alone."""
Verdict = Literal["helps", "hurts", "no difference shown", "not known"]
Metrics = dict[str, dict[str, float]]
"""By task and metric."""


@dataclass(kw_only=True, config=RECORD)
class Way:
    """A way of sharing as networks: one for all tasks, or one for each task alone."""

    models: list[ModelSpec]
    parameters: int
    """The number of parameters of all these networks."""
    flops: int
    """The floating-point operations of a step's matrix products, of all these networks: see `spec.flops.step_flops`."""
    gates: dict[str, list[str]]
    """By gate: the experts that it weighs, in the order of its weights."""

    @classmethod
    def of(cls, models: list[ModelSpec], batch: int) -> "Way":
        """batch: rows of a step."""
        gates = {
            gate.layer.name: [level.experts[place].name for place in gate.experts]
            for model in models
            for level in levels(model)
            for gate in level.gates
        }
        flops = sum(step_flops(model, batch) for model in models)
        return cls(models=models, parameters=sum(map(parameter_count, models)), flops=flops, gates=gates)


@dataclass(kw_only=True, config=RECORD)
class Trained:
    """The result of one way of sharing with one seed."""

    metrics: Metrics
    cosine: dict[str, list[float]]
    """By pair of tasks ("a, b"): the cosine of their gradients on the shared parameters, at the start and at the end of
    each epoch. It is NaN if one of the gradients is 0. Empty if no parameters are shared."""
    gates: dict[str, list[float]]
    """By gate: its mean weight of each expert over the evaluated rows, after training."""
    seconds: float
    """Wall clock time of training, compiling included."""


@dataclass(kw_only=True, config=RECORD)
class Seed:
    """The results of the runs of one seed."""

    seed: int
    alone: Metrics
    """The metrics of each task trained alone."""
    alone_seconds: float
    """Wall clock time of training them, one after the other."""
    ways: dict[str, Trained]
    """By way of sharing."""
    seconds: float
    """Wall clock time of all runs, gradients and evaluations."""


@dataclass(kw_only=True, config=RECORD)
class Outcome:
    """A way of sharing against another, by the main metric of a task. Deviations are over seeds, and None with fewer
    than two.
    """

    task: str
    metric: str
    way: str
    against: str
    """What the way is compared with: "alone", or another way."""
    seeds: int
    """The number of seeds behind the deviations and the interval."""
    reference: float
    """The mean of the metric of what the way is compared with."""
    reference_deviation: float | None
    value: float
    """The mean of the metric of the way."""
    value_deviation: float | None
    difference: float
    """The mean over seeds of the way's gain, in the unit of the metric; above 0 if the way is better."""
    interval: tuple[float, float] | None
    """The 95 % confidence interval of the difference: Student's t, paired by seed. None with fewer than 2 seeds."""
    verdict: Verdict
    """helps and hurts: the interval excludes 0. not known: there is no interval."""


@dataclass(kw_only=True, config=RECORD)
class Pair:
    """The cosine of two tasks' gradients in a way of sharing. NaNs are left out; a value is NaN if nothing else is
    left.
    """

    way: str
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

    schema_version: Literal[2] = 2
    command: str
    started: str
    """ISO 8601, UTC."""
    name: str
    rows_from: str
    backend: str
    threads: int
    machine: Machine
    model: ModelSpec
    """As in the experiment."""
    train: TrainSpec
    """As in the experiment. Its seed is the first seed; early stopping was not used."""
    alone: Way
    """One network of a single trunk and one head for each task."""
    ways: dict[str, Way]
    """The ways that were compared, by the kind of sharing."""
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
    """Over the seeds that are done: of each task, each way against alone, then each other way against `base`."""
    pairs: list[Pair] = Field(default_factory=list)
    """One for each way and pair of tasks, over the seeds that are done."""

    @property
    def base(self) -> str:
        """The way that the others are compared with: Shared-Bottom if it is one of them, otherwise the first."""
        return "shared_bottom" if "shared_bottom" in self.ways else next(iter(self.ways))

    def against(self, reference: str) -> list[Outcome]:
        """The outcomes of what is compared with alone, or with `base`."""
        return [outcome for outcome in self.outcomes if outcome.against == reference]


def main_metrics(model: ModelSpec) -> dict[str, str]:
    """The main metric of each task."""
    return {task.name: task.metrics[0] for task in model.tasks}


def to_json(run: Sharing) -> bytes:
    """The run as JSON."""
    return TypeAdapter(Sharing).dump_json(run, indent=2)
