"""Processes that share each batch draw the curve of one process, to 1e-9 over about 300 steps in float64.

What one process draws is computed here, where the environment says nothing of others.
"""

import functools

import numpy as np
import pytest

from backends.batches import BatchSource
from backends.layout import layout_of
from backends.parts import part_of
from spec.training import Part
from tests.helpers.backends import installed
from tests.helpers.checkpoints import assert_same_run
from tests.helpers.processes import together
from tests.helpers.shared_batches import CASES, QUICKEST, assert_one_curve, fit_all

SMALL = "a small network"
TWO = {
    "torch": [*(("eager", name) for name in CASES), ("step", SMALL), ("epoch", SMALL)],  # each compiles for seconds
    "jax": [*(("epoch", name) for name in CASES), *(("step", name) for name in ("tutorial", "lazy with all else"))],
}
THREE = {backend: [(execution, name) for name in ("tutorial", SMALL)] for backend, execution in QUICKEST.items()}
"""Batches of 32 rows, of which three processes have 11, 11 and 10, and of 7, of which they have 3, 3 and 1."""
RUNS = [
    (size, backend, *run) for size, each in ((2, TWO), (3, THREE)) for backend, runs in each.items() for run in runs
]


@functools.cache
def shared(size, backend):
    """What each process returned, by rank."""
    installed(backend)
    return together(size, fit_all, backend, {2: TWO, 3: THREE}[size][backend])


@functools.cache
def alone(backend, name):
    return CASES[name].fit(backend, QUICKEST[backend])


@pytest.mark.parametrize(("size", "backend", "execution", "name"), RUNS)
def test_processes_draw_one_curve(size, backend, execution, name):
    first, *others = (results[execution, name] for results in shared(size, backend))
    assert (first.history.processes, first.history.execution) == (size, execution)
    assert first.history.step_loss.shape == (CASES[name].steps,)
    assert_one_curve(first, alone(backend, name))
    for other in others:
        assert_same_run(other, first)


@pytest.mark.parametrize("name", [name for name in CASES if name != "tutorial"])
def test_some_tasks_have_labels_in_the_rows_of_one_process_alone(name):
    """So that what a process knows of its rows alone is not enough."""
    case = CASES[name]
    layout = layout_of(case.model)
    batches = BatchSource(layout, case.data, case.train.batch_size, "float64").take(np.arange(case.data.rows))
    there = []
    for rank in range(2):
        own = part_of(layout, batches, Part(rank, 1, 2))
        shares = [own[f"shares.{i}"] for i in range(len(layout.heads))]
        there.append(np.concatenate([(share.sum(-1) > 0).reshape(len(share), -1) for share in shares], axis=1))
    assert (there[0] != there[1]).any(axis=0).all()
