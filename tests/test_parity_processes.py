"""Processes, or devices of one process, that share each batch draw the curve of one: to 1e-9, about 300 steps, float64.

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

FEW = ("tutorial", "dropout, uncertainty")
"""Batches of 32 rows and of 7: of three parts, the first two have 11 and 3, and the last one has 10 and 1."""
EAGER, EPOCH = ([(execution, name) for name in CASES] for execution in ("eager", "epoch"))
STARTS = {
    "2 processes of torch": ("torch", 2, 1, [*EAGER, *((each, FEW[1]) for each in ("step", "epoch"))]),
    "3 processes of torch": ("torch", 3, 1, [("eager", name) for name in FEW]),
    "2 processes of jax": ("jax", 2, 1, [*EPOCH, *(("step", name) for name in FEW)]),
    "2 devices of jax": ("jax", 1, 2, [("step", name) for name in (*FEW, "lazy with all else")]),
    "4 devices of jax": ("jax", 1, 4, EPOCH[::2]),
}
"""Of each start: the backend, processes, devices of each, and what they run. PyTorch compiles for seconds."""


@functools.cache
def shared(start):
    """What each process returned, by rank."""
    backend, processes, devices, runs = STARTS[start]
    installed(backend)
    return together(processes, fit_all, backend, runs, devices=devices)


@functools.cache
def alone(backend, name):
    return CASES[name].fit(backend, QUICKEST[backend])


@pytest.mark.parametrize(
    ("start", "execution", "name"), [(start, *run) for start, (*_, runs) in STARTS.items() for run in runs]
)
def test_one_curve(start, execution, name):
    backend, processes, devices, _ = STARTS[start]
    first, *others = (results[execution, name] for results in shared(start))
    assert (first.history.processes, first.history.execution) == (processes * devices, execution)
    assert first.history.step_loss.shape == (CASES[name].steps,)
    assert_one_curve(first, alone(backend, name))
    for other in others:
        assert_same_run(other, first)


@pytest.mark.parametrize("name", [name for name in CASES if name != "tutorial"])
def test_some_tasks_have_labels_in_the_rows_of_one_process_alone(name):
    """So that what a process knows of its rows is not enough."""
    case = CASES[name]
    layout = layout_of(case.model)
    batches = BatchSource(layout, case.data, case.train.batch_size, "float64").take(np.arange(case.data.rows))
    there = []
    for rank in range(2):
        own = part_of(layout, batches, Part(rank, 1, 2))
        shares = [own[f"shares.{i}"] for i in range(len(layout.heads))]
        there.append(np.concatenate([(share.sum(-1) > 0).reshape(len(share), -1) for share in shares], axis=1))
    assert (there[0] != there[1]).any(axis=0).all()
