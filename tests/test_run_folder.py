"""The folder of a run: one run has it at a time, and others' files in it stay."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from tests.helpers import run_folder as shared
from tests.helpers.cli import contents, error, fit, run
from tests.helpers.run_folder import FLAGS, READING, SAVING, WRITTEN, at_first_call

shop, undrawn = shared.shop, shared.undrawn


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
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    used = f"which another run is using ({holder})"
    assert refused == [f"--out: expected a folder of this run's own, got {str(out)!r}, {used}"]
    assert contents(out) == WRITTEN
    assert load_checkpoint(out / "checkpoints").epoch == 2


def test_of_two_processes_that_begin_at_once_one_runs_and_the_other_is_told(shop, tmp_path):
    out = tmp_path / "new" / "run"
    command = [sys.executable, "-m", "shared_bottom", "fit", shop, "--out", out, *FLAGS]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = sorted((process.communicate()[1], process.returncode, process.pid) for process in both)
    (said, ended, first), (why, refused, _) = ends
    assert (said, ended, refused) == ("", 0, 2)
    used = f"error: --out: expected a folder of this run's own, got {str(out)!r}, which another run is using"
    assert why in {
        f"{used} (process {first} on {socket.gethostname()})\n",
        f"{used}\n",  # in the moment between the lock and the name in it
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
