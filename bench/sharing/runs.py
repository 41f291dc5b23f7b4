"""Each task alone, all together, and how well their gradients agree on the way."""

import dataclasses
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.sharing.cases import Problem
from bench.sharing.results import Seed, pair_names
from shared_bottom.checkpoint.files import checkpoint_path
from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.run.metrics import counted, evaluate
from spec import Backend, Dataset, ModelSpec, TaskSpec, TrainSpec, initial_params
from spec.params import Params, shared_parameters

GRADIENT_BATCH = 8192
"""Most rows that one call takes the gradient of."""
Say = Callable[[str], None]


def run_seed(backend: Backend, problem: Problem, train: TrainSpec, rows: Dataset, say: Say) -> tuple[Seed, set[str]]:
    """All runs of one seed; and why a metric is not defined, if one is not.

    rows: those that the gradients are taken of.
    """
    began, model, notes = time.perf_counter(), problem.model, set[str]()
    alone: dict[str, dict[str, float]] = {}

    def metrics(of: ModelSpec, params: Params) -> dict[str, dict[str, float]]:
        evaluated = labels_of(problem.evaluated, of)
        predictions = backend.predict(of, params, evaluated, device=train.device)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = evaluate(of, predictions, evaluated)
        notes.update(str(warning.message) for warning in caught)
        return found

    for task in model.tasks:
        say(f"seed {train.seed}: {task.name} alone")
        own = single(model, task)
        fitted = backend.fit(own, train, labels_of(problem.data, own))
        alone |= metrics(own, fitted.params)
    say(f"seed {train.seed}: all together")
    cosine: dict[str, list[float]] = {name: [] for name in pair_names(model)}
    with tempfile.TemporaryDirectory() as folder:
        fitted = backend.fit(model, train, problem.data, checkpoint=folder, keep=train.epochs)
        say(f"seed {train.seed}: gradients")
        for params in moments(model, train, problem.data.rows, Path(folder)):
            for name, value in cosines(backend, model, train, params, rows).items():
                cosine[name].append(value)
    shared = metrics(model, fitted.params)
    seconds = time.perf_counter() - began
    return Seed(seed=train.seed, alone=alone, shared=shared, cosine=cosine, seconds=seconds), notes


def single(model: ModelSpec, task: TaskSpec) -> ModelSpec:
    """The same trunk with one task's head; the task's weight is 1, there being nothing to weigh it against."""
    return dataclasses.replace(model, tasks=(dataclasses.replace(task, weight=1.0),))


def labels_of(data: Dataset, model: ModelSpec) -> Dataset:
    """The same rows with the labels of the model's tasks alone."""
    return dataclasses.replace(data, labels={task.name: data.labels[task.name] for task in model.tasks})


def moments(model: ModelSpec, train: TrainSpec, rows: int, folder: Path) -> Iterator[Params]:
    """The parameters at the start, then at each epoch's end as its checkpoint in `folder` has them."""
    yield initial_params(model, seed=train.seed, precision=train.precision)
    steps = train.steps_per_epoch(rows)
    for epoch in range(1, train.epochs + 1):
        yield load_checkpoint(checkpoint_path(folder, epoch * steps)).params


def draw(data: Dataset, rows: int) -> Dataset:
    """The rows that gradients are taken of: drawn at random, the same ones every time."""
    return data.take(np.random.default_rng(0).permutation(data.rows)[:rows])


def cosines(backend: Backend, model: ModelSpec, train: TrainSpec, params: Params, rows: Dataset) -> dict[str, float]:
    """By pair of tasks, the cosine of their losses' gradients on the shared parameters; NaN where one of them is 0."""
    # With every weight 1 one network, compiled once, serves all tasks: a task without labels has no gradient.
    model = dataclasses.replace(model, tasks=tuple(dataclasses.replace(task, weight=1.0) for task in model.tasks))
    found = np.stack([shared_gradient(backend, model, train, params, rows, task) for task in model.tasks])
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    found = np.divide(found, norms, out=np.full_like(found, np.nan), where=norms > 0)
    matrix = np.clip(found @ found.T, -1.0, 1.0)
    return dict(zip(pair_names(model), matrix[np.triu_indices(len(found), k=1)].tolist(), strict=True))


def shared_gradient(
    backend: Backend, model: ModelSpec, train: TrainSpec, params: Params, rows: Dataset, task: TaskSpec
) -> np.ndarray:
    """The gradient of one task's loss over `rows` on all that tasks share, the trunk and the embeddings, times a factor
    that is the same for all of it: float64 (shared parameters,).
    """
    shared = shared_parameters(model)
    total = np.zeros(sum(params[name].size for name in shared))
    labels = {other.name: rows.labels[other.name] if other == task else _missing(other, rows) for other in model.tasks}
    rows = dataclasses.replace(rows, labels=labels)
    for start in range(0, rows.rows, GRADIENT_BATCH):
        part = rows.take(slice(start, start + GRADIENT_BATCH))
        counts = counted(task, part)
        # A part's loss is the mean over its labels, so that parts add up by the weight of theirs.
        weight = float(counts.sum() if part.sample_weight is None else part.sample_weight[counts].sum())
        if weight:
            _, gradient = backend.gradients(model, params, part, device=train.device)
            total += weight * np.concatenate([gradient[name].ravel() for name in shared], dtype=np.float64)
    return total


def _missing(task: TaskSpec, rows: Dataset) -> np.ndarray:
    """Labels of the task that say of every row that it has none."""
    return np.full(rows.labels[task.name].shape, task.traits.missing_label)
