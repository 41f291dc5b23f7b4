import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command, cwd=ROOT):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture(scope="module")
def tutorial():
    return {name: run("examples/tutorial.py", "--backend", name) for name in ("torch", "jax")}


def test_the_tutorial_prints_ten_epochs_and_both_predictions(tutorial):
    for done in tutorial.values():
        assert done.returncode == 0, done.stderr
        epochs = re.findall(r"^Epoch \[(\d+)/10\], Loss: \d\.\d{4}$", done.stdout, re.MULTILINE)
        assert epochs == [str(epoch) for epoch in range(1, 11)]
        predictions = re.findall(r"^Prediction of (task_[ab]): \[(.*)\]$", done.stdout, re.MULTILINE)
        assert [(task, len(numbers.split())) for task, numbers in predictions] == [("task_a", 3), ("task_b", 2)]


def test_the_tutorial_prints_the_same_digits_in_both_backends(tutorial):
    assert tutorial["torch"].stdout == tutorial["jax"].stdout
