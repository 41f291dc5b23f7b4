"""Both backends draw one loss curve: in float64, at every step, in total and for each task.

Float64, because training amplifies float32's rounding until a tolerance hides faults: see docs. A curve of hundreds of
steps at 1e-9 leaves no room for one.
"""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets import census_income
from spec import SGD, Adagrad, Adam, AdamW, ModelSpec, RMSprop, Schedule, TrainSpec, load_backend, presets
from tests.parity import KINDS, compare_curves, compare_params, example_data, example_model

RTOL, WITHIN, PARAMS_RTOL = 1e-9, 1e-12, 1e-8
EXECUTIONS = ("eager", "step", "epoch")
CENSUS = Path(__file__).parents[1] / ".." / "shared" / "data" / "census-income"


def fit(name, model, train, data, params=None, **changes):
    train = replace(train, device="cpu", **{"precision": "float64", **changes})
    return load_backend(name).fit(model, train, data, params=params)


def both(model, train, data, *, torch="eager", jax="epoch", rtol=RTOL, steps):
    """torch's run and JAX's, compared."""
    one, other = (
        fit(name, model, train, data, execution=execution, precision=train.precision)
        for name, execution in (("torch", torch), ("jax", jax))
    )
    for fitted, execution in ((one, torch), (other, jax)):
        assert fitted.history.execution == execution
        assert fitted.history.step_loss.shape == (steps,)
        assert np.isfinite(fitted.history.step_loss).all()
        assert {value.dtype for value in fitted.params.values()} == {np.dtype(train.precision)}
    compare_curves(one.history, other.history, rtol)
    return one, other


@pytest.fixture(scope="module")
def runs():
    model, train, data = presets.tutorial_model(), presets.tutorial_training(), presets.tutorial_data()
    return {
        (name, execution): fit(name, model, train, data, execution=execution)
        for name in ("torch", "jax")
        for execution in EXECUTIONS
    }


class TestTutorial:
    """The original example, 320 steps, in every execution."""

    def test_each_ran_what_it_says(self, runs):
        for (_, execution), fitted in runs.items():
            history = fitted.history
            assert history.execution == execution
            assert history.step_loss.shape == (320,)
            assert len(np.unique(history.step_loss)) == 320
            np.testing.assert_allclose(history.step_loss, sum(history.task_loss.values()), rtol=1e-12)

    @pytest.mark.parametrize(("torch", "jax"), list(itertools.product(EXECUTIONS, EXECUTIONS)))
    def test_both_backends(self, runs, torch, jax):
        one, other = runs["torch", torch], runs["jax", jax]
        compare_curves(one.history, other.history, RTOL)
        compare_params(one.params, other.params, PARAMS_RTOL)

    @pytest.mark.parametrize("name", ["torch", "jax"])
    @pytest.mark.parametrize(("one", "other"), list(itertools.combinations(EXECUTIONS, 2)))
    def test_executions_of_one_backend(self, runs, name, one, other):
        compare_curves(runs[name, one].history, runs[name, other].history, WITHIN)

    def test_the_epochs_are_the_means_of_their_steps(self, runs):
        for fitted in runs.values():
            by_epoch = fitted.history.step_loss.reshape(10, 32).mean(axis=1)
            np.testing.assert_allclose([epoch["loss"] for epoch in fitted.history.epochs], by_epoch, rtol=1e-12)


FACTORS = {
    "optimizer": {
        "sgd": SGD(learning_rate=0.05, weight_decay=1e-3),
        "nesterov": SGD(learning_rate=0.02, momentum=0.9, nesterov=True),
        "adam": Adam(learning_rate=1e-3, weight_decay=1e-3),
        "adamw": AdamW(learning_rate=3e-3, weight_decay=0.1),
        "adagrad": Adagrad(learning_rate=0.02, initial_accumulator=0.01),
        "rmsprop": RMSprop(learning_rate=1e-3),
        "rmsprop with momentum": RMSprop(learning_rate=5e-4, momentum=0.8, weight_decay=1e-3),
    },
    "kinds": {"tied": "tied", "untied": "untied"},
    "normalization": {"no norm": "none", "layer norm": "layer"},
    "activation": {"relu": "relu", "gelu": "gelu"},
    "dropout": {"no dropout": 0.0, "dropout": 0.25},
    "labels": {"all labels": {}, "some labels": {"missing": True, "weighted": True}},
    "clip_norm": {"no clip": None, "clip": 0.5},
    "schedule": {
        "constant": Schedule(),
        "cosine after warm-up": Schedule(kind="cosine", warmup_steps=30, final=0.1),
    },
}


def pairwise(factors):
    """Few choices, in which every two values of two factors stand together at least once."""
    choices = list(itertools.product(*factors.values()))
    pairs = {choice: set(itertools.combinations(enumerate(choice), 2)) for choice in choices}
    left, chosen = set().union(*pairs.values()), []
    while left:
        best = max(choices, key=lambda choice: len(pairs[choice] & left))
        chosen.append(best)
        left -= pairs[best]
    return chosen


CASES = pairwise(FACTORS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: ", ".join(case))
def test_combinations(case):
    drawn = {factor: FACTORS[factor][value] for factor, value in zip(FACTORS, case, strict=True)}
    model = example_model(
        drawn["kinds"],
        activation=drawn["activation"],
        normalization=drawn["normalization"],
        dropout=drawn["dropout"],
    )
    train = TrainSpec(
        optimizer=drawn["optimizer"],
        clip_norm=drawn["clip_norm"],
        schedule=drawn["schedule"],
        batch_size=16,
        epochs=20,
        seed=3,
        precision="float64",
    )
    data = example_data(model, 250, **drawn["labels"])  # 15 batches and 10 rows
    one, other = both(model, train, data, steps=320)
    compare_params(one.params, other.params, PARAMS_RTOL)


COMPILED: dict[str, tuple[ModelSpec, TrainSpec, dict]] = {
    "tied": (
        example_model("tied", activation="gelu", normalization="layer", dropout=0.3),
        TrainSpec(optimizer=AdamW(learning_rate=3e-3), schedule=Schedule(kind="linear", warmup_steps=5), clip_norm=1.0),
        {"missing": True, "weighted": True},
    ),
    "untied": (
        example_model("untied", activation="silu", dropout=0.5),
        TrainSpec(optimizer=RMSprop(learning_rate=1e-3, momentum=0.5, weight_decay=1e-3)),
        {"missing": True},
    ),
}


def test_combinations_with_torch_compiled():
    """In one process and one after the other: what the second has otherwise must not become less exact in it."""
    for model, train, labels in COMPILED.values():
        train = replace(train, batch_size=16, epochs=20, seed=8, precision="float64")
        data = example_data(model, 250, **labels)
        one, other = both(model, train, data, torch="epoch", steps=320)
        compare_params(one.params, other.params, PARAMS_RTOL)
        compare_curves(fit("torch", model, train, data, execution="eager").history, one.history, WITHIN)


@pytest.mark.parametrize("kinds", KINDS)
def test_rows_in_their_own_order_and_the_whole_set_as_one_batch(kinds):
    model = example_model(kinds)
    train = TrainSpec(shuffle=False, batch_size=64, epochs=20, precision="float64")
    both(model, train, example_data(model, 50, missing=True), steps=20)


@pytest.mark.parametrize(
    "optimizer",
    [SGD(learning_rate=0.1, momentum=0.9), Adam(), AdamW(learning_rate=1e-2), Adagrad(), RMSprop()],
    ids=str,
)
def test_the_first_ten_steps_in_float32(optimizer):
    model = example_model("tied", normalization="layer", dropout=0.1)
    train = TrainSpec(optimizer=optimizer, batch_size=32, epochs=1, seed=5)
    both(model, train, example_data(model, 320, missing=True, weighted=True), rtol=1e-5, steps=10)


class TestTrainingOn:
    """Half of the run in one backend, the other half in the other."""

    MODEL = example_model("tied", normalization="layer", dropout=0.2)
    DATA = example_data(MODEL, 250, missing=True, weighted=True)
    TRAIN = TrainSpec(optimizer=Adam(learning_rate=3e-3), batch_size=16, epochs=10, seed=1)

    def run(self, name, params=None, seed=1):
        execution = {"torch": "eager", "jax": "epoch"}[name]
        return fit(name, self.MODEL, replace(self.TRAIN, seed=seed), self.DATA, params, execution=execution)

    @pytest.mark.parametrize(("first", "then"), [("torch", "jax"), ("jax", "torch"), ("jax", "jax")])
    def test_the_curve_goes_on(self, first, then):
        expected = self.run("torch", self.run("torch").params, seed=2)
        begun = self.run(first)
        fitted = self.run(then, begun.params, seed=2)
        anew = self.run(then, seed=2)
        assert abs(fitted.history.step_loss[0] / anew.history.step_loss[0] - 1) > 1e-3
        compare_curves(expected.history, fitted.history, RTOL)
        compare_params(expected.params, fitted.params, PARAMS_RTOL)


@pytest.mark.skipif(not CENSUS.is_dir(), reason=f"the official Census-Income files are not in {CENSUS}")
def test_census_income(tmp_path, monkeypatch):
    monkeypatch.setenv("SHARED_BOTTOM_CACHE", str(tmp_path))
    census = census_income.load(CENSUS)
    model = presets.census_model(census.vocabularies)
    train = replace(presets.census_training(), batch_size=64, epochs=1, precision="float64")
    one, other = both(model, train, census.train.take(slice(500 * 64)), steps=500)
    compare_params(one.params, other.params, PARAMS_RTOL)
    assert one.history.task_loss["never_married"][-50:].mean() < 0.5 * one.history.task_loss["never_married"][0]
