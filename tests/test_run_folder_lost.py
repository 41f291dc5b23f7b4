"""The folder of a run on a disk that is full, or removed while the run goes on: what is lost with it is said."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.folder import read_trained
from shared_bottom.tables.training import read_table
from spec import load_backend
from tests.helpers import run_folder as shared
from tests.helpers.cli import contents, error, fit, run
from tests.helpers.run_folder import FLAGS, READING, SAVING, WRITTEN, at_first_call

shop, undrawn = shared.shop, shared.undrawn


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def no_space(path, *_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def no_space_below(monkeypatch, *places):
    """Nothing below these places can be flushed."""
    original = os.fsync

    def fsync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if any(str(path).startswith(str(place)) for place in places):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.filterwarnings("always::shared_bottom.checkpoint.folder.CheckpointWarning")
def test_a_run_whose_end_was_not_saved_is_whole_but_ends_with_an_error(shop, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    monkeypatch.setattr(SAVING, no_space)
    run("fit", shop, "--out", out, *FLAGS, code=1)
    *warned, last = capsys.readouterr().err.splitlines()
    assert len(warned) == 2
    end = out / "checkpoints" / "step-00000010"
    said = "expected the checkpoint of the run's end, which could not be saved; the rest is complete"
    assert last == f"error: {end}: {said}"
    assert contents(out) == WRITTEN
    assert read_trained(out).params


@pytest.mark.filterwarnings("always::shared_bottom.checkpoint.folder.CheckpointWarning")
def test_a_model_that_fits_nowhere_in_the_folder_is_kept_elsewhere(shop, tmp_path, monkeypatch, capsys, elsewhere):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(SAVING, no_space)
        no_space_below(patch, out / ".saving-model")
        run("fit", shop, "--out", out, *FLAGS, code=2)
    (kept,) = elsewhere.iterdir()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == (
        f"error: {out}/model/columns.json: No space left on device; the trained model is kept: {kept}/model"
    )
    assert not out.exists()
    whole = fit(shop, tmp_path / "whole", "torch", "--quiet")
    for name, value in read_trained(whole).params.items():
        np.testing.assert_array_equal(read_trained(kept).params[name], value)


def test_a_report_that_cannot_be_written_leaves_the_model(shop, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        no_space_below(patch, out / ".report.html")
        said = error(capsys, "fit", shop, "--out", out, *FLAGS)
    assert said == f"{out}/report.html: No space left on device; the trained model is kept: {out}/model"
    assert read_trained(out).params
    run("fit", shop, "--out", out, *FLAGS, "--resume")
    assert contents(out) == WRITTEN


@pytest.mark.filterwarnings("always:the report was not written")
def test_a_divergence_is_said_even_if_its_report_cannot_be_written(shop, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    no_space_below(monkeypatch, out / ".report.html")
    optimizer = ("--train.optimizer.kind", "sgd", "--train.optimizer.learning-rate", "1e30")
    run("fit", shop, "--out", out, *FLAGS, *optimizer, code=1)
    warned, last = capsys.readouterr().err.splitlines()
    assert warned == f"warning: the report was not written: {out}/report.html: No space left on device"
    assert last.startswith("error: loss: expected finite values, got ")


def removed(out):
    shutil.rmtree(out)


def moved(out):
    out.rename(out.with_name("moved"))


def moved_and_begun_anew(out):
    moved(out)
    (out / "checkpoints").mkdir(parents=True)
    (out / "experiment.toml").write_text("another run's")


@pytest.mark.parametrize("how", [removed, moved, moved_and_begun_anew])
def test_a_run_whose_folder_goes_ends_at_once_and_keeps_its_state(shop, tmp_path, monkeypatch, capsys, elsewhere, how):
    out, backend = tmp_path / "run", load_backend("torch")
    at_first_call(monkeypatch, "shared_bottom.run.loop.validate", lambda: how(out))
    monkeypatch.setattr("shared_bottom.cli.fit.backend_of", lambda _: backend)
    said = error(capsys, "fit", shop, "--out", out, *FLAGS, "--train.epochs", "3")
    (kept,) = elsewhere.glob("*/step-00000005")
    assert said == (
        f"checkpoint: expected the folder '{out}/checkpoints' to stay until the run ends, got it removed or moved; "
        f"the state after step 5 is kept: {kept}"
    )
    assert load_checkpoint(kept).epoch == 1
    if how is moved_and_begun_anew:
        assert (out / "experiment.toml").read_text() == "another run's"
        assert contents(out) == ["checkpoints", "experiment.toml"]
    else:
        assert not out.exists()
    if how is not removed:
        moved_to = tmp_path / "moved"
        shutil.move(kept, moved_to / "checkpoints")
        run("fit", moved_to / "experiment.toml", "--out", moved_to, *FLAGS, "--resume")
        assert load_checkpoint(moved_to / "checkpoints").epoch == 3


def test_a_folder_that_is_removed_while_the_table_is_read_is_named(shop, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    monkeypatch.setattr(READING, lambda *args, **options: (shutil.rmtree(out), read_table(*args, **options))[1])
    said = error(capsys, "fit", shop, "--out", out, *FLAGS)
    assert said == f"{out}/experiment.toml: No such file or directory"
