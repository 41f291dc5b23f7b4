"""A run's memory grows by its history, and by nothing else, however many calls, epochs and saves it has."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from shared_bottom.checkpoint.saver import CheckpointSaver
from shared_bottom.run.saver import Saver
from spec import ModelSpec, TaskSpec, presets
from tests.helpers.runs import training

MODEL = ModelSpec(numeric=4, trunk=(64, 64), tasks=(TaskSpec(name="click", kind="binary"),))
DATA, VALIDATION = presets.random_data(MODEL, 32), presets.random_data(MODEL, 8, seed=1)
STEPS = 2
CURVES = 2 * 2 * 8
"""Bytes of a step's losses, twice: they lie in an array that doubles its size when it is full."""
RECORD = 6_000
"""Bytes of an epoch's record at most: five nested dicts of a dozen numbers take 1,500. One that kept the parameters, or
a checkpoint, would take 18,000 or more."""


def resident():
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds so")
@pytest.mark.parametrize("saves", [False, True], ids=["without checkpoints", "with one an epoch"])
def test_it_grows_by_the_history(backend, monkeypatch, tmp_path, saves):
    first, last, sizes = 300, 900, {}
    saver = CheckpointSaver if saves else Saver
    original = saver.after_epoch

    def after_epoch(self, record):
        original(self, record)
        sizes[len(record.epochs)] = resident()

    monkeypatch.setattr(saver, "after_epoch", after_epoch)
    train = training(backend, batch_size=16, epochs=last)
    fitted = backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path if saves else None)
    assert np.isfinite(fitted.history.step_loss).all()
    assert sizes[last] - sizes[first] < (last - first) * (RECORD + STEPS * CURVES)
