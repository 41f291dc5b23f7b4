"""Where the machine lacks something that a run needs, one line says so before the run begins: a compiler, memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backends.costs import Cost
from spec import presets
from tests.helpers.backends import installed
from tests.helpers.runs import training

ROOT = Path(__file__).parents[1]
COMPILER = "a C++ compiler (g++, or the one that CXX names)"
MANY = {"eager": Cost(first=0.0, step=1.0, flops=1e12), "step": Cost(first=1.0, step=1e-6, flops=1e12)}


@pytest.fixture
def without_compiler(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr("backends.torch.missing_compiler", lambda: COMPILER)
    return installed("torch")


@pytest.mark.parametrize("execution", ["step", "epoch"])
def test_a_compiled_execution_without_a_compiler_is_refused(without_compiler, model, data, execution):
    said = f"execution: expected 'eager', or {COMPILER} to compile with, got '{execution}'"
    with pytest.raises(ValueError, match=r"^execution") as caught:
        without_compiler.fit(model, training(without_compiler, execution=execution), data)
    assert str(caught.value) == said


def test_auto_is_eager_without_a_compiler_and_says_so(without_compiler, monkeypatch, model, data):
    train = training(without_compiler, execution="auto")
    monkeypatch.setattr(without_compiler, "costs", MANY)
    said = r"^execution: 'step' needs a C\+\+ compiler .*, not found here; 'eager' is used$"
    with pytest.warns(UserWarning, match=said) as warned:
        fitted = without_compiler.fit(model, train, data)
    assert len(warned) == 1
    assert fitted.history.execution == "eager"


def test_a_gpu_needs_no_compiler_of_ours(without_compiler, monkeypatch):
    monkeypatch.setattr(without_compiler, "has_gpu", lambda: True)
    monkeypatch.setattr(without_compiler, "costs", MANY)
    train = presets.tutorial_training()
    without_compiler.check_training(train, "step")
    assert without_compiler.best_execution(presets.tutorial_model(), train, 10**6) == "step"


FIT = """
from spec import load_backend, presets
from dataclasses import replace
train = replace(presets.tutorial_training(), execution="step", device="cpu", epochs=1)
try:
    load_backend("torch").fit(presets.tutorial_model(), train, presets.tutorial_data(32))
except ValueError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"PATH": "/nowhere"}, f"{COMPILER} to compile with, got 'step'"),
        ({"CXX": "/bin/false"}, f"{COMPILER} to compile with, got 'step'"),
        ({"CXX": "/bin/true"}, "a compiler that works, got "),
    ],
    ids=["none", "one that fails", "one that makes nothing"],
)
def test_the_compiler_is_looked_for_as_pytorch_does(variables, said):
    pytest.importorskip("torch")
    environment = {name: value for name, value in os.environ.items() if name != "CXX"} | variables
    command = [sys.executable, "-c", FIT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"execution: expected 'eager', or {said}")
    assert done.stdout.count("\n") == 1


def test_torch_running_out_of_memory_is_a_memory_error():
    torch = pytest.importorskip("torch")
    from backends.torch.settings import scope

    with pytest.raises(MemoryError, match=r"^Unable to allocate \d+ bytes$"), scope():
        torch.empty(2**58, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="must match"), scope():
        torch.ones(2) + torch.ones(3)


def test_jax_running_out_of_memory_is_a_memory_error():
    jax = pytest.importorskip("jax")
    pytest.importorskip("flax")
    from backends.jax.settings import scope

    with (
        pytest.raises(MemoryError, match=r"^Unable to allocate \d+ ?\w+$"),
        scope(np.dtype("float32"), jax.devices()[0]),
    ):
        jax.numpy.zeros(2**58, dtype=np.uint8).block_until_ready()


def test_more_steps_than_fit_into_memory_are_refused(backend, model, data):
    train = training(backend, epochs=2**31 - 1)
    said = r"^train\.epochs: expected steps whose learning rates fit into memory, got 2147483647, 6,442,450,941 steps$"
    with pytest.raises(ValueError, match=said):
        backend.fit(model, train, data)


def test_memory_that_runs_out_for_the_steps_names_the_field(backend, monkeypatch, model, data):
    def none_left(train, steps):
        raise MemoryError

    monkeypatch.setattr("shared_bottom.run.plan.learning_rates", none_left)
    with pytest.raises(ValueError, match=r"^train\.epochs: expected steps whose .*, got 2, 6 steps$"):
        backend.fit(model, training(backend), data)
