"""Short training runs, and one that a signal ends."""

import os

import pytest

from spec import TrainSpec, load_backend, presets

executions = pytest.mark.parametrize(
    "execution", ["eager", *(pytest.param(name, marks=pytest.mark.slow) for name in ("step", "epoch"))]
)
"""All three; what PyTorch compiles takes ten seconds."""


def quickest(name):
    """The execution that ends first for a few steps."""
    return load_backend(name).best_execution(presets.tutorial_model(), presets.tutorial_training(), 100)


def training(backend, **fields):
    own = {"batch_size": 8, "epochs": 2, "seed": 1, "device": "cpu", "execution": quickest(backend.name)}
    return TrainSpec(**(own | fields))


def signalled(backend, monkeypatch, calls, number, times=1):
    """While the backend trains its `calls`-th call of batches, the process gets the signal."""
    original = backend.trainer

    def trainer(*args, **options):
        made, done = original(*args, **options), 0
        run = made.run

        def counting(batches):
            nonlocal done
            done += 1
            if done == calls:
                for _ in range(times):
                    os.kill(os.getpid(), number)
            return run(batches)

        made.run = counting
        return made

    monkeypatch.setattr(backend, "trainer", trainer)
