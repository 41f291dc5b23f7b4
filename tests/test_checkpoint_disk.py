"""A disk that fails costs checkpoints and no results: the run says what it could not save, and what is kept."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shared_bottom.checkpoint.folder import CheckpointFolder, CheckpointWarning
from tests.helpers.checkpoints import DATA, MODEL, short, steps_saved

NAMESPACE = ["unshare", "--mount", "--map-root-user"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What `tests.helpers.disk` says of its runs, by kind of disk; and the folder above theirs."""
    pytest.importorskip("torch")
    folder, kinds, prefix = tmp_path_factory.mktemp("disks"), ["limit"], []
    if shutil.which("unshare") and not subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        kinds, prefix = ["full", "read-only", "read-only but for its lock", "read-only midway", "limit"], NAMESPACE
    command = [*prefix, sys.executable, "-m", "tests.helpers.disk", str(folder), *kinds]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def on_a_disk(outcomes, kind):
    if kind not in outcomes[0]:
        pytest.skip("this machine lets no process mount a file system of its own")
    return outcomes[0][kind], outcomes[1] / kind


def test_a_full_disk(outcomes):
    found, folder = on_a_disk(outcomes, "full")
    count = len(found["saved"])
    assert found["saved"] == list(range(1, count + 1))
    assert 2 <= count < 20
    assert len(found["warnings"]) == 20 - count
    for step, said in enumerate(found["warnings"], start=count + 1):
        assert said.startswith(f"checkpoint {folder}/step-{step:08d} was not saved: [Errno 28] No space left on")
        assert said.endswith(f"; the newest complete one is {folder}/step-{count:08d}")
    assert found["left"] == [".lock", *(f"step-{step:08d}" for step in found["saved"])]


def test_a_folder_that_becomes_read_only(outcomes):
    found, folder = on_a_disk(outcomes, "read-only midway")
    assert found["saved"] == [1, 2, 3, 4]
    assert len(found["warnings"]) == 16
    for said in found["warnings"]:
        assert "was not saved: [Errno 30] Read-only file system" in said
        assert said.endswith(f"; the newest complete one is {folder}/step-00000004")


@pytest.mark.parametrize("kind", ["read-only", "read-only but for its lock"])
def test_a_read_only_folder_is_an_error_before_any_work(outcomes, kind):
    found, folder = on_a_disk(outcomes, kind)
    assert found["error"] == f"checkpoint: expected a folder to write in, got '{folder}': Read-only file system"
    assert not found["locked"]


def test_a_limit_on_the_size_of_files(outcomes):
    found, _ = on_a_disk(outcomes, "limit")
    assert (found["saved"], found["left"]) == ([], [".lock"])
    assert len(found["warnings"]) == 20
    for said in found["warnings"]:
        assert "was not saved: [Errno 27] File too large" in said
        assert said.endswith("; there is none before it")


def test_a_save_whose_name_may_not_be_on_the_disk_is_told_and_counts(backend, monkeypatch, tmp_path):
    original = os.fsync

    def fsync(descriptor):
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        original(descriptor)

    backend.fit(MODEL, short(backend, epochs=1), DATA, checkpoint=tmp_path, keep=1)
    monkeypatch.setattr(os, "fsync", fsync)
    said = rf"^checkpoint {tmp_path}/step-00000010 may not be on the disk yet: \[Errno 5\] Input/output error$"
    with CheckpointFolder(tmp_path, keep=1) as folder:
        saved = folder.newest()
        later = replace(saved, step=10)
        with pytest.warns(CheckpointWarning, match=said):
            assert folder.save(later)
        assert folder.last == tmp_path / "step-00000010"
    assert steps_saved(tmp_path) == [5, 10], "the one that is on the disk stays"


def test_an_old_checkpoint_that_cannot_be_removed_is_told(backend, tmp_path):
    (tmp_path / ".removing-step-00000005").touch()  # a file, where the folder would go
    said = rf"^old checkpoint {tmp_path}/step-00000005 was not removed: \[Errno 20\] Not a directory"
    with pytest.warns(CheckpointWarning, match=said):
        backend.fit(MODEL, short(backend), DATA, checkpoint=tmp_path, keep=1)
    assert steps_saved(tmp_path) == [5, 10]
