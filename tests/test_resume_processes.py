"""A run goes on with another number of processes, or in another framework: its curve is that of the run that never
stopped, to 1e-9; and bit for bit with the same number of processes and the same backend.
"""

import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from tests.helpers.backends import each_backend, each_way, installed
from tests.helpers.checkpoints import as_of, assert_same_run, assert_same_state
from tests.helpers.processes import together
from tests.helpers.resumed import CASE, EPOCHS, legs
from tests.helpers.shared_batches import QUICKEST, assert_one_curve

BACKENDS = tuple(QUICKEST)
WITHIN_AN_EPOCH = 92
"""A step that was saved."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """By backend and way, what `fit` returned in each process. Each backend's processes are started twice."""
    for backend in BACKENDS:
        installed(backend)
    folder = tmp_path_factory.mktemp("runs")
    runs = {}
    for backend in BACKENDS:
        whole, moved = folder / backend, folder / f"{backend} 2 1 2"
        begun = together(2, legs, backend, [(whole, EPOCHS), (moved, 9)])
        runs[backend, "whole"] = [each for each, _ in begun]
        legs(backend, [(moved, 19)])
    for backend, other in (BACKENDS, BACKENDS[::-1]):
        moved = folder / f"{backend} 2 1 2"
        ways = {
            "2 1 2": moved,
            "2 2": as_of(folder / backend, WITHIN_AN_EPOCH, folder / f"{backend} 2 2"),
            other: as_of(folder / other, WITHIN_AN_EPOCH, folder / f"from {other}"),
        }
        ended = together(2, legs, backend, [(way, EPOCHS) for way in ways.values()])
        runs |= {(backend, way): list(each) for way, each in zip(ways, zip(*ended, strict=True), strict=True)}
    return folder, runs


@pytest.fixture(scope="module")
def alone():
    return {backend: CASE.fit(backend, QUICKEST[backend]) for backend in BACKENDS}


@each_backend
def test_the_same_on_all_processes(runs, name):
    for (backend, _), (first, second) in runs[1].items():
        if backend == name:
            assert first.history.processes == 2
            assert first.history.step_loss.shape == (CASE.steps,)
            assert_same_run(first, second)


@each_backend
def test_two_one_and_two_processes_draw_one_curve(runs, alone, name):
    (never_stopped, _), (moved, _) = runs[1][name, "whole"], runs[1][name, "2 1 2"]
    assert_one_curve(moved, never_stopped)
    assert_one_curve(moved, alone[name])


@each_backend
def test_as_many_processes_go_on_bit_for_bit(runs, name):
    folder, fitted = runs
    assert_same_run(fitted[name, "2 2"][0], fitted[name, "whole"][0])
    assert_same_state(load_checkpoint(folder / f"{name} 2 2"), load_checkpoint(folder / name))


@each_way
def test_the_other_frameworks_processes_go_on(runs, alone, first, then):
    moved, _ = runs[1][then, first]
    assert_one_curve(moved, alone[then])
    assert_one_curve(moved, runs[1][first, "whole"][0])
