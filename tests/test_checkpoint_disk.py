"""A disk that fails costs checkpoints and no results: the run says what it could not save, and what is kept."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMESPACE = ["unshare", "--mount", "--map-root-user"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What `tests.disk` says of its runs, by kind of disk; and the folder above theirs."""
    pytest.importorskip("torch")
    folder, kinds, prefix = tmp_path_factory.mktemp("disks"), ["limit"], []
    if shutil.which("unshare") and not subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        kinds, prefix = ["full", "read-only", "read-only midway", "limit"], NAMESPACE
    command = [*prefix, sys.executable, "-m", "tests.disk", str(folder), *kinds]
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


def test_a_read_only_folder_is_an_error_before_any_work(outcomes):
    found, folder = on_a_disk(outcomes, "read-only")
    assert found["error"] == f"checkpoint: expected a folder to write in, got '{folder}': Read-only file system"


def test_a_limit_on_the_size_of_files(outcomes):
    found, _ = on_a_disk(outcomes, "limit")
    assert (found["saved"], found["left"]) == ([], [".lock"])
    assert len(found["warnings"]) == 20
    for said in found["warnings"]:
        assert "was not saved: [Errno 27] File too large" in said
        assert said.endswith("; there is none before it")
