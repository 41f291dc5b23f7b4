"""What the tests of checkpoints share: folders as a run left them, or would have left them at an earlier step."""

import shutil

import numpy as np

from shared_bottom.checkpoint.files import checkpoint_path, checkpoint_paths
from spec import ModelSpec, TaskSpec, presets
from tests.helpers.parity import compare_params
from tests.helpers.runs import training

MODEL = ModelSpec(
    numeric=3,
    trunk=(4,),
    tasks=(TaskSpec(name="click", kind="binary"), TaskSpec(name="price", kind="regression", outputs=2, weight=0.5)),
    activation="tanh",
)
DATA, VALIDATION = presets.random_data(MODEL, 36), presets.random_data(MODEL, 20, seed=1)


def short(backend, **fields):
    """Five steps an epoch, the last one short."""
    return training(backend, **({"epochs": 2} | fields))


def steps_saved(folder):
    return [int(path.name.removeprefix("step-")) for path in checkpoint_paths(folder)]


def as_of(folder, step, to):
    """A copy of a run's folder, as it was when the run had saved `step` and no more."""
    for path in checkpoint_paths(folder):
        if path.name <= checkpoint_path(folder, step).name:
            shutil.copytree(path, to / path.name)
    assert steps_saved(to)[-1] == step
    return to


def assert_same_run(one, other):
    """Two results of `fit` are equal, bit for bit but for the seconds."""
    compare_params(one.params, other.params, 0)
    a, b = one.history, other.history
    assert (a.execution, a.device, a.best_epoch) == (b.execution, b.device, b.best_epoch)
    np.testing.assert_array_equal(a.step_loss, b.step_loss)
    assert list(a.task_loss) == list(b.task_loss)
    for name, curve in a.task_loss.items():
        np.testing.assert_array_equal(curve, b.task_loss[name])
        np.testing.assert_array_equal(a.task_weight[name], b.task_weight[name])
    assert without_seconds(a) == without_seconds(b)


def without_seconds(history):
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in history.epochs]


def assert_same_state(one, other):
    """Two checkpoints hold the same parameters, slots and balance, bit for bit."""
    compare_params(one.params, other.params, 0)
    assert list(one.slots) == list(other.slots)
    for name, slot in one.slots.items():
        compare_params(slot, other.slots[name], 0)
    compare_params(one.balance, other.balance, 0)
