"""Training with each way of sharing: balancing as a plain NumPy version has it, and runs that change the framework.

Whole curves, with every optimizer, execution and loss: `tests.helpers.combinations`.
"""

from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import (
    PLE,
    Adam,
    AdamW,
    GradNorm,
    MMoE,
    ModelSpec,
    PCGrad,
    Quantile,
    Schedule,
    Separate,
    TaskSpec,
    TrainSpec,
    UncertaintyWeighting,
    ZeroInflatedLognormal,
    load_backend,
)
from tests.helpers.backends import BACKENDS, each_way
from tests.helpers.checkpoints import as_of
from tests.helpers.parity import PARAMS_RTOL, RTOL, compare_curves, compare_params, fit
from tests.helpers.plain_training import train_plainly
from tests.helpers.sharing_models import SMALL, data_of, model_of

TASKS = (
    TaskSpec(name="buy", kind="binary", given="click", weight=2.0),
    TaskSpec(name="value", kind="regression", loss=ZeroInflatedLognormal(), weight=0.5),
    TaskSpec(name="click", kind="binary"),
)
SHARINGS = {
    "separate": Separate(),
    "mmoe": MMoE(experts=2),
    "cgc": PLE(shared_experts=1, task_experts=1),
    "ple": PLE(shared_experts=1, task_experts=1, levels=2),
}
RULES = {
    "uncertainty": UncertaintyWeighting(initial_log_variance=0.3),
    "gradnorm": GradNorm(alpha=0.8, learning_rate=0.05),
    "pcgrad": PCGrad(),
}


def small_amounts(model, rows):
    """A density of amounts as small as these is above 1, and its loss is then below 0."""
    data = data_of(model, rows)
    return replace(data, labels=data.labels | {"value": data.labels["value"] * 1e-2})


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("way", SHARINGS)
def test_a_plain_numpy_version_of_the_papers_agrees(way, rule):
    """Of the shared parameters, of those on which gradients are measured, and of the rate of a loss below 0."""
    model = ModelSpec(**SMALL | {"tasks": TASKS, "sharing": SHARINGS[way], "trunk": (3,)})
    data = small_amounts(model, 14)
    train = TrainSpec(optimizer=Adam(learning_rate=0.05), batch_size=5, epochs=4, seed=2, precision="float64")
    train = replace(train, balancing=RULES[rule])
    plain = train_plainly(model, train, data)
    for name, execution in (("torch", "eager"), ("jax", "epoch")):
        fitted = fit(name, model, train, data, execution=execution)
        np.testing.assert_allclose(fitted.history.step_loss, plain.total, rtol=RTOL)
        own = [fitted.history.task_weight[task.name] for task in model.tasks]
        np.testing.assert_allclose(np.stack(own, axis=1), plain.weights, rtol=RTOL)
        compare_params(fitted.params, plain.params, PARAMS_RTOL)
        assert (fitted.history.task_loss["value"] < 0).any()


@each_way
@pytest.mark.parametrize("way", ["mmoe", "ple of 3 levels"])
def test_the_other_framework_goes_on(way, first, then, tmp_path):
    """From the middle of an epoch, with a task that is given another, dropout and balancing."""
    model = model_of(way, "conditional", dropout=0.2, normalization="layer")
    data = data_of(model, 60)
    executions = {name: "eager" if name == "torch" else "step" for name in BACKENDS}
    train = TrainSpec(
        optimizer=AdamW(learning_rate=1e-2), balancing=GradNorm(), batch_size=16, epochs=5, precision="float64"
    )
    train = replace(train, device="cpu", embedding_updates="lazy")
    begun, then_train = (replace(train, execution=executions[name]) for name in (first, then))
    whole = load_backend(first).fit(model, begun, data, checkpoint=tmp_path / "alone", save_every=1, keep=100)
    folder = as_of(tmp_path / "alone", 7, tmp_path / "moved")
    assert load_checkpoint(folder).backend == first
    moved = load_backend(then).fit(model, then_train, data, checkpoint=folder, resume=True)
    assert load_checkpoint(folder).backend == then
    compare_curves(moved.history, whole.history, RTOL)
    compare_params(moved.params, whole.params, RTOL)
    compare_params(moved.balance, whole.balance, RTOL)


def test_quantiles_are_learned_as_they_are_written():
    """In ascending order of their levels, of a target whose quantiles differ from one another."""
    task = TaskSpec(name="wait", kind="regression", loss=Quantile(levels=(0.1, 0.5, 0.9)))
    model = ModelSpec(numeric=1, trunk=(4,), tasks=(task,), sharing=MMoE(experts=2))
    draw = np.random.default_rng(0)
    data = replace(
        data_of(model, 400), labels={"wait": draw.normal(0, 1, (400, 1))}, sample_weight=None, task_weight={}
    )
    train = TrainSpec(optimizer=Adam(learning_rate=2e-2), batch_size=400, epochs=300, device="cpu", execution="eager")
    train = replace(train, schedule=Schedule(kind="cosine"))
    fitted = load_backend("torch").fit(model, train, data)
    predicted = load_backend("torch").predict(model, fitted.params, data, device="cpu")["wait"]
    below = (data.labels["wait"] < predicted).mean(axis=0)
    np.testing.assert_allclose(below, task.loss.levels, atol=0.05)
