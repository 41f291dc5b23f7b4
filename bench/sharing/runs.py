"""Trains each task alone and all together, and measures during training how well the tasks' gradients agree."""

import dataclasses
import itertools
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from bench.sharing.cases import Problem
from bench.sharing.results import Metrics, Seed, Trained
from shared_bottom.checkpoint.files import checkpoint_path
from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.run.gates import mean_gates
from shared_bottom.run.metrics import counted, evaluate
from spec import Backend, Dataset, ModelSpec, SharedBottom, TaskSpec, TrainSpec
from spec.params import Params, shared_parameters

GRADIENT_BATCH = 8192
"""Largest number of rows in one call of `gradients`."""
Say = Callable[[str], None]
"""Shows a line of progress."""


def run_seed(
    backend: Backend, problem: Problem, models: Mapping[str, ModelSpec], train: TrainSpec, rows: Dataset, say: Say
) -> tuple[Seed, set[str]]:
    """Train all runs of one seed. Returns their results, and the reasons why metrics are not defined, if any.

    models: the network with all tasks, by way of sharing.
    rows: the rows on which the gradients are computed.
    """
    began, notes = time.perf_counter(), set[str]()
    alone: Metrics = {}
    alone_seconds = 0.0
    for task in problem.model.tasks:
        say(f"seed {train.seed}: {task.name} alone")
        single_task = with_one_task(problem.model, task)
        params, seconds = fit(backend, problem, single_task, train, problem.start(single_task, train))
        alone |= metrics(backend, problem, single_task, train, params, notes)
        alone_seconds += seconds
    ways = {}
    for way, model in models.items():
        say(f"seed {train.seed}: all together" + (f", {way}" if len(models) > 1 else ""))
        with tempfile.TemporaryDirectory() as folder:
            start = problem.start(model, train)
            params, seconds = fit(backend, problem, model, train, start, folder)
            say(f"seed {train.seed}: gradients")
            over_epochs = params_over_epochs(start, train, problem.data.rows, Path(folder))
            cosine = cosines_over(backend, model, train, over_epochs, rows)
        values = metrics(backend, problem, model, train, params, notes)
        means = mean_gates(backend, model, params, problem.evaluated, train.device, threads=None)
        gates = {gate: weights.tolist() for gate, weights in means.items()}
        ways[way] = Trained(metrics=values, cosine=cosine, gates=gates, seconds=seconds)
    seconds = time.perf_counter() - began
    return Seed(seed=train.seed, alone=alone, alone_seconds=alone_seconds, ways=ways, seconds=seconds), notes


def fit(
    backend: Backend, problem: Problem, model: ModelSpec, train: TrainSpec, start: Params, folder: str | None = None
) -> tuple[Params, float]:
    """The parameters after training, and the seconds that it took. folder: where each epoch's parameters are kept."""
    began = time.perf_counter()
    rows = labels_of(problem.data, model)
    fitted = backend.fit(model, train, rows, params=start, checkpoint=folder, keep=train.epochs)
    return fitted.params, time.perf_counter() - began


def metrics(
    backend: Backend, problem: Problem, model: ModelSpec, train: TrainSpec, params: Params, notes: set[str]
) -> Metrics:
    """The metrics of the model's tasks on the evaluated rows. Why one is not defined is added to `notes`."""
    evaluated = labels_of(problem.evaluated, model)
    predictions = backend.predict(model, params, evaluated, device=train.device)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = evaluate(model, predictions, evaluated)
    notes.update(str(warning.message) for warning in caught)
    return values


def with_one_task(model: ModelSpec, task: TaskSpec) -> ModelSpec:
    """One trunk with the head of one task. Its weight is 1, because there is no other task to balance it with; a task
    that is given another is learned as it is, without the other.
    """
    task = dataclasses.replace(task, weight=1.0, given=None)
    return dataclasses.replace(model, tasks=(task,), sharing=SharedBottom())


def labels_of(data: Dataset, model: ModelSpec) -> Dataset:
    """The same rows with the labels of the model's tasks only."""
    tasks = {task.name for task in model.tasks}
    labels, weights = ({t: a for t, a in arrays.items() if t in tasks} for arrays in (data.labels, data.task_weight))
    return dataclasses.replace(data, labels=labels, task_weight=weights)


def params_over_epochs(start: Params, train: TrainSpec, rows: int, folder: Path) -> Iterator[Params]:
    """The parameters at the start, then those at the end of each epoch, read from its checkpoint in `folder`."""
    yield start
    steps = train.steps_per_epoch(rows)
    for epoch in range(1, train.epochs + 1):
        yield load_checkpoint(checkpoint_path(folder, epoch * steps)).params


def draw(data: Dataset, rows: int) -> Dataset:
    """The rows on which gradients are computed: drawn at random, but always the same ones."""
    return data.take(np.random.default_rng(0).permutation(data.rows)[:rows])


def pair_names(model: ModelSpec) -> list[str]:
    """The names of all pairs of tasks, in the order of the spec."""
    return [f"{a.name}, {b.name}" for a, b in itertools.combinations(model.tasks, 2)]


def cosines_over(
    backend: Backend, model: ModelSpec, train: TrainSpec, over_epochs: Iterable[Params], rows: Dataset
) -> dict[str, list[float]]:
    """By pair of tasks: the cosines with one set of parameters after the other; none if no parameters are shared."""
    if not shared_parameters(model):
        return {}
    each = [cosines(backend, model, train, params, rows) for params in over_epochs]
    return {name: [cosine[name] for cosine in each] for name in pair_names(model)}


def cosines(backend: Backend, model: ModelSpec, train: TrainSpec, params: Params, rows: Dataset) -> dict[str, float]:
    """By pair of tasks: the cosine of their losses' gradients on the shared parameters; NaN if one of them is 0."""
    # With all weights 1, one network that is compiled once serves all tasks: a task without labels has no gradient.
    model = dataclasses.replace(model, tasks=tuple(dataclasses.replace(task, weight=1.0) for task in model.tasks))
    gradients = np.stack([shared_gradient(backend, model, train, params, rows, task) for task in model.tasks])
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    directions = np.divide(gradients, norms, out=np.full_like(gradients, np.nan), where=norms > 0)
    matrix = np.clip(directions @ directions.T, -1.0, 1.0)
    return dict(zip(pair_names(model), matrix[np.triu_indices(len(matrix), k=1)].tolist(), strict=True))


def shared_gradient(
    backend: Backend, model: ModelSpec, train: TrainSpec, params: Params, rows: Dataset, task: TaskSpec
) -> np.ndarray:
    """The gradient of one task's loss over `rows` on the shared parameters: embeddings, and trunk or experts.

    It is multiplied by a positive factor, which does not change its direction: float64 (shared parameters,).
    """
    shared = shared_parameters(model)
    total = np.zeros(sum(params[name].size for name in shared))
    labels = {other.name: rows.labels[other.name] if other == task else _missing(other, rows) for other in model.tasks}
    rows = dataclasses.replace(rows, labels=labels)
    for start in range(0, rows.rows, GRADIENT_BATCH):
        batch = rows.take(slice(start, start + GRADIENT_BATCH))
        has_label, row_weight = counted(task, batch), batch.weight(task.name)
        # The loss of a batch is a mean over its labels, so the batches are added with the weight of their labels.
        weight = float(has_label.sum() if row_weight is None else row_weight[has_label].sum())
        if weight:
            _, gradient = backend.gradients(model, params, batch, device=train.device)
            total += weight * np.concatenate([gradient[name].ravel() for name in shared], dtype=np.float64)
    return total


def _missing(task: TaskSpec, rows: Dataset) -> np.ndarray:
    """Labels of the task that are missing in all rows."""
    return np.full(rows.labels[task.name].shape, task.traits.missing_label)
