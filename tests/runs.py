"""Short training runs."""

from spec import TrainSpec

FAST = {"torch": "eager", "jax": "epoch"}
"""What ends first for a few steps."""


def training(backend, **fields):
    own = {"batch_size": 8, "epochs": 2, "seed": 1, "device": "cpu", "execution": FAST[backend.name]}
    return TrainSpec(**(own | fields))
