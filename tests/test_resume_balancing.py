"""What balancing learned and keeps is saved: a run goes on where it was, in the same framework and in the other."""

from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import Adam, DynamicWeightAverage, GradNorm, PCGrad, UncertaintyWeighting, load_backend
from tests.helpers.checkpoints import DATA, MODEL, as_of, assert_same_run, assert_same_state, short
from tests.helpers.parity import PARAMS_RTOL, compare_curves, compare_params

RULES = {
    "uncertainty": (UncertaintyWeighting(), ["log_variance", "log_variance.mu", "log_variance.nu"]),
    "dwa": (DynamicWeightAverage(), ["sum", "last", "older"]),
    "gradnorm": (GradNorm(), ["factor", "first_loss"]),
    "pcgrad": (PCGrad(), []),
}
# Tied heads stand together in a backend: "buy" comes second there and last here.
NETWORK = replace(MODEL, tasks=(*MODEL.tasks, replace(MODEL.tasks[0], name="buy", weight=2.0)))
ROWS = replace(DATA, labels={**DATA.labels, "buy": 1 - DATA.labels["click"]})
rules = pytest.mark.parametrize("rule", RULES)


def fit(name, rule, folder, **options):
    backend = load_backend(name)
    train = short(backend, epochs=4, optimizer=Adam(learning_rate=0.02), precision="float64", balancing=RULES[rule][0])
    return backend.fit(NETWORK, train, ROWS, checkpoint=folder, save_every=1, keep=100, **options)


@rules
def test_a_run_goes_on_bit_for_bit(backend, tmp_path, rule):
    alone = fit(backend.name, rule, tmp_path / "alone")
    assert list(alone.balance) == RULES[rule][1]
    assert list(load_checkpoint(tmp_path / "alone").balance) == RULES[rule][1]
    for step in (1, 13, 20):  # within the first and the third of four epochs, and the end
        own = as_of(tmp_path / "alone", step, tmp_path / f"{step}")
        assert_same_run(fit(backend.name, rule, own, resume=True), alone)
        assert_same_state(load_checkpoint(own), load_checkpoint(tmp_path / "alone"))


@rules
def test_the_other_framework_goes_on(tmp_path, rule):
    alone = fit("jax", rule, tmp_path / "alone")
    own = as_of(tmp_path / "alone", 13, tmp_path / "own")
    moved = fit("torch", rule, own, resume=True)
    compare_curves(moved.history, alone.history, 1e-9)
    compare_params(moved.params, alone.params, PARAMS_RTOL)
    for name, value in moved.balance.items():
        np.testing.assert_allclose(value, alone.balance[name], rtol=PARAMS_RTOL, err_msg=name)


def test_another_rule_is_another_run(backend, tmp_path):
    fit(backend.name, "dwa", tmp_path)
    with pytest.raises(ValueError, match=r"train\.balancing\.kind: dwa saved, gradnorm now"):
        fit(backend.name, "gradnorm", tmp_path, resume=True)
