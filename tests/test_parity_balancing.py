"""Balancing: the backends and a plain NumPy version draw one curve and weigh the tasks alike.

Every execution, optimizer and kind of task with it: `tests.helpers.combinations`.
"""

from dataclasses import replace

import numpy as np
import pytest

from spec import (
    Adam,
    AdamW,
    DynamicWeightAverage,
    GradNorm,
    ModelSpec,
    PCGrad,
    TaskSpec,
    TrainSpec,
    UncertaintyWeighting,
    load_backend,
)
from spec.balancing import GRADNORM_FLOOR
from tests.helpers.backends import each_backend, each_pair
from tests.helpers.parity import (
    PARAMS_RTOL,
    RTOL,
    WITHIN,
    both,
    compare_curves,
    compare_params,
    example_data,
    example_model,
    fit,
)
from tests.helpers.plain_training import train_plainly

RULES = {
    "uncertainty": UncertaintyWeighting(initial_log_variance=0.3),
    "dwa": DynamicWeightAverage(temperature=0.7),
    "gradnorm": GradNorm(alpha=0.8, learning_rate=0.05),
    "pcgrad": PCGrad(),
}
THREE = ModelSpec(
    numeric=4,
    trunk=(6, 5),
    tasks=(
        TaskSpec(name="span", kind="regression", hidden=(4,), outputs=2, weight=0.5),
        TaskSpec(name="click", kind="binary", weight=2.0),
        TaskSpec(name="region", kind="multiclass", hidden=(4,), outputs=3),
    ),
    activation="tanh",
)
DATA = example_data(THREE, 60, missing=True)
TRAIN = TrainSpec(optimizer=Adam(learning_rate=0.01), batch_size=8, epochs=8, seed=6, precision="float64")
"""Seven batches of 8 and one of 4 an epoch."""
rules = pytest.mark.parametrize("rule", RULES)


@rules
@each_backend
def test_a_plain_numpy_version_of_the_paper_agrees(name, rule):
    train = replace(TRAIN, balancing=RULES[rule])
    plain = train_plainly(THREE, train, DATA)
    fitted = fit(name, THREE, train, DATA)
    np.testing.assert_allclose(fitted.history.step_loss, plain.total, rtol=RTOL)
    own = [fitted.history.task_weight[task.name] for task in THREE.tasks]
    np.testing.assert_allclose(np.stack(own, axis=1), plain.weights, rtol=RTOL)
    compare_params(fitted.params, plain.params, PARAMS_RTOL)
    unbalanced = fit(name, THREE, TRAIN, DATA)
    assert np.abs(fitted.history.step_loss / unbalanced.history.step_loss - 1).max() > 1e-3  # the rule does something


@rules
@each_pair
def test_whole_curves_of_all_kinds_of_parts_agree(pair, rule):
    model = example_model("tied", normalization="layer", dropout=0.2)
    train = TrainSpec(
        optimizer=AdamW(learning_rate=3e-3), clip_norm=1.0, batch_size=16, epochs=20, seed=3, balancing=RULES[rule]
    )
    train = replace(train, precision="float64")
    one, other = both(pair, model, train, example_data(model, 250, missing=True, weighted=True), steps=320)
    compare_params(one.params, other.params, PARAMS_RTOL)
    assert list(one.balance) == list(other.balance)
    for name, own in one.balance.items():
        np.testing.assert_allclose(own, other.balance[name], rtol=PARAMS_RTOL, err_msg=name)


@each_backend
def test_gradnorm_stops_at_its_floor_as_the_plain_version_does(name):
    """At so high a rate each step throws the factors from one end to the other."""
    train = replace(TRAIN, epochs=1, balancing=GradNorm(learning_rate=100.0))
    plain = train_plainly(THREE, train, DATA)
    fitted = fit(name, THREE, train, DATA)
    own = np.stack([fitted.history.task_weight[task.name] for task in THREE.tasks], axis=1)
    np.testing.assert_allclose(own, plain.weights, rtol=RTOL)
    factors = own / [task.weight for task in THREE.tasks]
    np.testing.assert_allclose(factors.sum(axis=1), 3.0)
    assert 0 < factors[1:].min() <= GRADNORM_FLOOR  # which is before they are scaled to that sum


@each_backend
def test_gradnorm_moves_no_factor_where_one_task_alone_has_a_label(name):
    """Its norm is then the mean, whatever a compiler rounds."""
    present = [np.arange(DATA.rows) % 3 == place for place in range(3)]
    span, click, region = DATA.labels["span"], DATA.labels["click"], DATA.labels["region"]
    labels = {
        "span": np.where(present[0][:, None], span, np.nan),
        "click": np.where(present[1], click, np.nan),
        "region": np.where(present[2], region, -1),
    }
    train = replace(TRAIN, batch_size=1, epochs=5, balancing=GradNorm())
    fitted = fit(name, THREE, train, replace(DATA, labels=labels))
    for task in THREE.tasks:
        np.testing.assert_array_equal(fitted.history.task_weight[task.name], task.weight)


@rules
@each_backend
def test_float32_begins_as_float64_does_in_one_process(name, rule):
    train = replace(TRAIN, epochs=3, device="cpu", balancing=RULES[rule])
    model = replace(THREE, activation="silu")  # of no other test, so that float32 is what comes first
    single, double = (
        load_backend(name).fit(model, replace(train, precision=precision), DATA) for precision in ("float32", "float64")
    )
    assert all(value.dtype == np.float32 for value in single.balance.values())
    np.testing.assert_allclose(single.history.step_loss[:10], double.history.step_loss[:10], rtol=1e-5)


@pytest.mark.parametrize("rule", ["dwa", "gradnorm", "pcgrad"])
@each_backend
def test_one_task_is_trained_as_without_a_rule(name, rule):
    model = replace(THREE, tasks=THREE.tasks[:1])
    data = replace(DATA, labels={"span": DATA.labels["span"]})
    plain, own = (
        fit(name, model, train, data)
        for train in (replace(TRAIN, epochs=4), replace(TRAIN, epochs=4, balancing=RULES[rule]))
    )
    compare_curves(plain.history, own.history, WITHIN)


@rules
@each_backend
def test_a_task_without_weight_or_labels_moves_nothing(name, rule):
    """Not the trunk, not its own head, not the others' factors, and no number becomes NaN."""
    tasks = (*THREE.tasks, TaskSpec(name="idle", kind="binary", weight=0.0), TaskSpec(name="empty", kind="regression"))
    model = replace(THREE, tasks=tasks)
    labels = {"idle": (DATA.numeric[:, 0] > 0).astype(float), "empty": np.full(DATA.rows, np.nan)}
    data = replace(DATA, labels={**DATA.labels, **labels})
    train = replace(TRAIN, epochs=4, balancing=RULES[rule])
    start = fit(name, model, replace(train, epochs=1, optimizer=Adam(learning_rate=1e-30)), data)
    fitted = fit(name, model, train, data)
    assert all(np.isfinite(value).all() for value in (*fitted.params.values(), *fitted.balance.values()))
    for task in ("idle", "empty"):
        for part in ("kernel", "bias"):
            np.testing.assert_array_equal(
                fitted.params[f"tasks.{task}.0.{part}"], start.params[f"tasks.{task}.0.{part}"]
            )
    assert not fitted.history.task_weight["idle"].any()
