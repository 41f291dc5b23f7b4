"""SIGKILL at any moment loses nothing but the steps since the last save."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_a_run_that_is_killed_again_and_again_ends_as_one_left_alone():
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "tests.helpers.kill", "--kills", "25", "--epochs", "16", "--longest", "0.05"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("25 kills in ")
    assert done.stderr == ""
