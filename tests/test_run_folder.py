"""The folder of a run: one run has it at a time, others' files in it stay, and what is lost with it is said."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.folder import read_trained
from shared_bottom.tables.training import read_table
from spec import load_backend
from tests.helpers.cli import contents, error, fit, run, without_plots, write_experiment

READING = "shared_bottom.cli.fit.read_table"
SAVING = "shared_bottom.checkpoint.folder.write_checkpoint"
FLAGS = ("--backend", "torch", "--train.execution", "eager", "--quiet")
WRITTEN = ["checkpoints", "experiment.toml", "metrics.jsonl", "model", "plots", "report.html", "status.json"]


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    pytest.importorskip("torch")
    without_plots(monkeypatch)


@pytest.fixture
def shop(tmp_path):
    return write_experiment(tmp_path / "data")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def at_first_call(monkeypatch, name, action):
    """Does something when a function of this dotted name is first called, and then what the function does."""
    path, _, attribute = name.rpartition(".")
    original = getattr(__import__(path, fromlist=[attribute]), attribute)

    def first(*args, **options):
        monkeypatch.setattr(name, original)
        action()
        return original(*args, **options)

    monkeypatch.setattr(name, first)


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


@pytest.mark.parametrize("flags", [(), ("--resume",)], ids=["new", "resumed"])
@pytest.mark.parametrize("when", [READING, SAVING], ids=["while the first one reads", "while the first one trains"])
def test_a_second_run_is_refused_and_the_first_ends_as_if_alone(shop, tmp_path, monkeypatch, capsys, flags, when):
    out, refused = tmp_path / "new" / "run", []

    def second():
        before = sorted(out.rglob("*"))
        refused.append(error(capsys, "fit", shop, "--out", out, *FLAGS, *flags))
        assert sorted(out.rglob("*")) == before

    at_first_call(monkeypatch, when, second)
    run("fit", shop, "--out", out, *FLAGS)
    if when == SAVING and not flags:
        assert refused == [f"--out: expected a new or an empty folder, or --resume, got {str(out)!r}"]
    else:
        expected = f"--out: expected a folder of this run's own, got {str(out)!r}, which another run is using"
        assert refused == [expected]
    assert contents(out) == WRITTEN
    assert load_checkpoint(out / "checkpoints").epoch == 2


def test_of_two_processes_that_begin_at_once_one_runs_and_the_other_is_told(shop, tmp_path):
    out = tmp_path / "new" / "run"
    command = [sys.executable, "-m", "shared_bottom", "fit", shop, "--out", out, *FLAGS]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    (said, ended), (why, refused) = sorted((process.communicate()[1], process.returncode) for process in both)
    assert (said, ended, refused) == ("", 0, 2)
    assert why in {
        f"error: --out: expected a folder of this run's own, got {str(out)!r}, which another run is using\n",
        f"error: --out: expected a new or an empty folder, or --resume, got {str(out)!r}\n",
    }
    assert contents(out) == WRITTEN
    assert load_checkpoint(out / "checkpoints").epoch == 2
    assert json.loads((out / "status.json").read_text())["state"] == "finished"


def test_two_that_begin_at_the_same_moment_make_one_folder(shop, tmp_path, monkeypatch, capsys):
    out, refused = tmp_path / "new" / "run", []
    original = Path.mkdir

    def second_first(path, *args, **options):
        if path == out:
            monkeypatch.setattr(Path, "mkdir", original)
            run("fit", shop, "--out", out, *FLAGS)
        original(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", second_first)
    refused = error(capsys, "fit", shop, "--out", out, *FLAGS)
    assert refused == f"--out: expected a new or an empty folder, or --resume, got {str(out)!r}"
    assert contents(out) == WRITTEN


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_an_error_removes_what_the_run_made_and_nothing_else(shop, tmp_path, monkeypatch, there):
    out = tmp_path / "new" / "run"
    if there:
        out.mkdir(parents=True)

    def failing():
        (out / "model").symlink_to(tmp_path / "data")
        (out / "rows.csv").write_text("mine")
        raise KeyboardInterrupt

    at_first_call(monkeypatch, READING, failing)
    run("fit", shop, "--out", out, *FLAGS, code=130)
    assert {"model", "rows.csv"} == {*contents(out)} - {"experiment.toml"}
    assert (tmp_path / "data" / "train.csv").is_file()


LEFT_OVER = [
    ".lock",
    ".saving-probe",
    ".saving-model/params.safetensors",
    ".experiment.toml.partial",
    ".experiment.toml.0123abcd.partial",
    ".report.html.0123abcd.partial",
]


@pytest.mark.parametrize("flags", [(), ("--resume",)], ids=["new", "resumed"])
def test_what_a_killed_run_left_is_in_no_runs_way(shop, tmp_path, flags):
    out = tmp_path / "run"
    for name in LEFT_OVER:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("half")
    (out / ".saving-step").symlink_to(tmp_path / "data")
    run("fit", shop, "--out", out, *FLAGS, *flags)
    assert [name for name in contents(out) if name != ".experiment.toml.partial"] == WRITTEN
    assert (tmp_path / "data" / "train.csv").is_file(), "what a link points to stays"


def test_files_and_links_of_the_user_stay_in_a_run_that_is_resumed(shop, tmp_path):
    out = fit(shop, tmp_path / "run", "torch", "--quiet")
    (out / "linked").symlink_to(tmp_path / "data")
    (out / "rows.csv").write_text("mine")
    (out / ".notes.partial").write_text("mine")
    run("fit", out / "experiment.toml", "--out", out, *FLAGS, "--resume", "--train.epochs", "3")
    assert contents(out) == sorted([*WRITTEN, "linked", "rows.csv", ".notes.partial"])
    assert (out / "linked" / "train.csv").is_file()


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
