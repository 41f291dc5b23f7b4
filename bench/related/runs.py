"""Trains both networks on tasks of each correlation, seed by seed; the results as they are written to JSON.

The schema of the file has a version. If the meaning of a field changes, the version is increased.
"""

import dataclasses
import math
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass
from rich.console import Console

from bench.results import RECORD
from spec import Adam, Backend, TrainSpec, presets
from spec.machine import Machine, describe
from spec.params import parameter_count

POINTS = 60
"""Points of a curve at most: each is the mean over some steps in a row."""
FINAL = 0.1
"""The share of the steps, the last ones, whose mean loss is the final loss."""


@dataclass(kw_only=True, config=RECORD)
class Curve:
    """The losses of one network on tasks of one correlation. Losses are the sums of both tasks' mean squared errors."""

    correlation: float
    way: str
    """The kind of sharing."""
    parameters: int
    steps: list[float] = Field(default_factory=list)
    """The middle of the steps that each loss is the mean of."""
    losses: list[list[float]] = Field(default_factory=list)
    """By seed: the losses over the training."""
    final: list[float] = Field(default_factory=list)
    """By seed: the mean loss of the last tenth of the steps."""
    seconds: list[float] = Field(default_factory=list)
    """By seed: wall clock time of training, compiling included."""


@dataclass(kw_only=True, config=RECORD)
class Related:
    """The result of one command."""

    schema_version: Literal[1] = 1
    command: str
    backend: str
    threads: int
    machine: Machine
    train: TrainSpec
    """Its seed is the first."""
    steps: int
    curves: list[Curve]
    """Of each correlation, those of both networks."""


def study(
    backend: Backend, correlations: Sequence[float], *, seeds: int, steps: int, learning_rate: float, threads: int = 1
) -> Related:
    """Train both networks. A seed is that of tasks, rows and initial parameters. Raises DivergenceError."""
    models = presets.related_tasks_models()
    train = dataclasses.replace(presets.related_tasks_training(), optimizer=Adam(learning_rate=learning_rate))
    run = Related(
        command=shlex.join(["python", "-m", "bench.related", *sys.argv[1:]]),
        backend=backend.name,
        threads=threads,
        machine=describe(),
        train=train,
        steps=steps,
        curves=[
            Curve(correlation=correlation, way=way, parameters=parameter_count(model))
            for correlation in correlations
            for way, model in models.items()
        ],
    )
    for seed in range(seeds):
        Console(stderr=True).print(f"seed {seed} ({seed} of {seeds} seeds done)", style="dim", highlight=False)
        for correlation in correlations:
            data = presets.related_tasks_data(correlation, steps * train.batch_size, seed=seed)
            for curve in (curve for curve in run.curves if curve.correlation == correlation):
                began = time.perf_counter()
                fitted = backend.fit(models[curve.way], dataclasses.replace(train, seed=seed), data, progress="none")
                curve.seconds.append(time.perf_counter() - began)
                add(curve, fitted.history.step_loss)
    return run


def add(curve: Curve, losses: np.ndarray) -> None:
    """Add the losses (steps,) of a seed to the curve."""
    parts = np.array_split(np.arange(len(losses)), min(POINTS, len(losses)))
    curve.steps = [float(part.mean()) + 1 for part in parts]
    curve.losses.append([float(losses[part].mean()) for part in parts])
    curve.final.append(float(losses[-math.ceil(FINAL * len(losses)) :].mean()))


def to_json(run: Related) -> bytes:
    """The run as JSON."""
    return TypeAdapter(Related).dump_json(run, indent=2)
