"""Runs that differ in numbers alone share compiled code: these numbers are inputs of the step."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import torch

from spec import SGD, Adam, AdamW, TrainSpec, load_backend
from tests.helpers.parity import example_data, example_model
from tests.helpers.plain_training import train_plainly

MODEL = example_model("untied", activation="tanh", trunk=(5,))
DATA, VALIDATION = example_data(MODEL, 40), example_data(MODEL, 7)
TRAIN = TrainSpec(optimizer=AdamW(), clip_norm=1.0, batch_size=16, epochs=2, precision="float64", device="cpu")
RTOL = 1e-9


def reweighted(*weights):
    """The model with other weights of its tasks."""
    tasks = tuple(replace(task, weight=weight) for task, weight in zip(MODEL.tasks, weights, strict=True))
    return replace(MODEL, tasks=tasks)


OTHERS = {
    "learning rate": (MODEL, {"optimizer": AdamW(learning_rate=0.03)}),
    "weight decay": (MODEL, {"optimizer": AdamW(weight_decay=0.7)}),
    "clipping norm": (MODEL, {"clip_norm": 0.05}),
    "seed": (MODEL, {"seed": 9}),
    "weights of the tasks": (reweighted(0.3, 2.0, 0.0, 1.5), {}),
}
PROGRAMS = {
    "without weight decay": {"optimizer": AdamW(weight_decay=0.0)},
    "without clipping": {"clip_norm": None},
    "another optimizer": {"optimizer": Adam(weight_decay=0.01)},
    "decay as L2": {"optimizer": SGD(weight_decay=0.01)},
    "frozen": {"frozen": ("trunk",)},
}
"""What a step is compiled for."""


@pytest.fixture
def compiled_by_jax():
    """What JAX has compiled, or read from its cache, so far: a list that grows."""
    programs = []

    def listener(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            programs.append(event)

    jax.monitoring.register_event_duration_secs_listener(listener)
    yield programs
    jax.monitoring.unregister_event_duration_listener(listener)


def fit(name, execution, model, **changes):
    """The run, compared with the plain version: compiled code must not keep the numbers of another run."""
    train = replace(TRAIN, **changes)
    fitted = load_backend(name).fit(model, replace(train, execution=execution), DATA, VALIDATION)
    np.testing.assert_allclose(fitted.history.step_loss, train_plainly(model, train, DATA).total, rtol=RTOL)


def test_jax_compiles_nothing_again_for_other_numbers(compiled_by_jax):
    fit("jax", "epoch", MODEL)
    assert compiled_by_jax
    for name, (model, changes) in OTHERS.items():
        compiled_by_jax.clear()
        fit("jax", "epoch", model, **changes)
        assert not compiled_by_jax, name


@pytest.mark.slow
def test_pytorch_compiles_nothing_again_for_other_numbers():
    def compiled():
        return torch._dynamo.utils.counters["stats"]["unique_graphs"]

    fit("torch", "epoch", MODEL)
    before = compiled()
    assert before
    for name, (model, changes) in OTHERS.items():
        fit("torch", "epoch", model, **changes)
        assert compiled() == before, name


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_another_program_is_one(program):
    """Never the code of a run that has no such number."""
    assert replace(TRAIN, **PROGRAMS[program]).step_spec != TRAIN.step_spec
    assert all(replace(TRAIN, **changes).step_spec == TRAIN.step_spec for _, changes in OTHERS.values())
