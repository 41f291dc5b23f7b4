"""Checkpoints as each version of the format wrote them when it was new: every later one reads them and goes on."""

import json
import math
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.run.metrics import UndefinedMetricWarning
from tests.helpers.checkpoints import steps_saved
from tests.helpers.golden import DATA, FOLDERS, MODEL, RUNS
from tests.helpers.parity import compare_curves, compare_params
from tests.helpers.runs import quickest

RTOL = {"float64": 1e-9, "float32": 1e-5}
ORDER = "a64f85fe5425ba52f7bd20315c79e59bd7d62ccc4f6bb6c1e56187ad61e471ac"
"""Of 20 rows by the seed 7."""


@pytest.mark.parametrize("version", FOLDERS)
def test_what_they_hold(version):
    adam, sgd = (load_checkpoint(FOLDERS[version] / name) for name in RUNS)
    for saved in (adam, sgd):
        text = FOLDERS[version] / f"{saved.backend}-{saved.train.optimizer.kind}" / f"step-{saved.step:08d}"
        assert json.loads((text / "checkpoint.json").read_text())["format"] == version
        assert [epoch["step"] for epoch in saved.history.epochs] == [3, 6]
        assert saved.run.order == (None if version == 1 else ORDER)
    assert (adam.backend, adam.step, adam.epoch, adam.model) == ("jax", 8, 2, MODEL)
    assert (sgd.backend, sgd.step, sgd.epoch, sgd.model) == ("torch", 6, 2, MODEL)
    assert [checkpoint.train for checkpoint in (adam, sgd)] == [train for train, _, _ in RUNS.values()]
    assert (list(adam.slots), list(sgd.slots)) == (["mu", "nu"], [])
    assert adam.libraries == {
        "python": "3.11.7",
        "numpy": "2.4.6",
        "jax": "0.10.2",
        "jaxlib": "0.10.2",
        "flax": "0.12.8",
        "optax": "0.2.8",
    }
    assert (adam.best.epoch, adam.best.step, adam.best.value) == (1, 3, 0.8036373673477942)
    assert sgd.best is None
    assert not np.array_equal(adam.best.params["trunk.0.kernel"], adam.params["trunk.0.kernel"])
    assert [epoch["monitor"] for epoch in adam.history.epochs] == [0.8036373673477942, 0.8461699687244413]
    assert math.isnan(adam.history.epochs[0]["metrics"]["click"]["auc"])
    labels = {f"labels.{task.name}" for task in MODEL.tasks}
    assert set(adam.run.data) == {"numeric", "categorical", "sample_weight"} | labels
    assert sgd.run.validation is None
    for saved, precision in ((adam, np.float64), (sgd, np.float32)):
        assert {value.dtype.type for value in saved.params.values()} == {precision}
        assert {curve.shape for curve in saved.history.task_loss.values()} == {(saved.step,)}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("version", FOLDERS)
def test_each_backend_goes_on_from_them(backend, tmp_path, version, name):
    train, validation, step = RUNS[name]
    train = replace(train, execution="auto")  # the other framework decides anew
    shutil.copytree(FOLDERS[version] / name, tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        alone = backend.fit(MODEL, train, DATA, validation, checkpoint=tmp_path / "alone", save_every=1)
        resumed = backend.fit(MODEL, train, DATA, validation, checkpoint=tmp_path / "run", save_every=1, resume=True)
    assert len(resumed.history.step_loss) == 9
    assert [epoch["step"] for epoch in resumed.history.epochs] == [3, 6, 9]
    assert resumed.history.execution == quickest(backend.name)
    assert steps_saved(tmp_path / "run")[-1] == 9 > step
    compare_curves(resumed.history, alone.history, RTOL[train.precision])
    compare_params(resumed.params, alone.params, RTOL[train.precision])


def test_where_the_order_is_not_known_it_is_not_compared(backend, tmp_path, monkeypatch):
    monkeypatch.setattr("shared_bottom.checkpoint.identity.row_order", lambda seed, epoch, rows: np.arange(rows))
    train, validation, _ = RUNS["torch-sgd"]
    train = replace(train, execution="auto")
    for version, folder in FOLDERS.items():
        shutil.copytree(folder / "torch-sgd", tmp_path / str(version))
    backend.fit(MODEL, train, DATA, validation, checkpoint=tmp_path / "1", resume=True)
    with pytest.raises(ValueError, match=f"order: {ORDER} saved, "):
        backend.fit(MODEL, train, DATA, validation, checkpoint=tmp_path / "2", resume=True)
