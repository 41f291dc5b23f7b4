"""All backends draw one loss curve: in float64, at every step, in total and for each task.

Float64, because training amplifies float32's rounding until a tolerance hides faults: see docs. A curve of hundreds of
steps at 1e-9 leaves no room for one.
"""

import functools
import itertools
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from shared_bottom.tables import census_income
from spec import SGD, Adagrad, Adam, AdamW, RMSprop, TrainSpec, presets
from tests.helpers.backends import each_backend, each_pair, each_way
from tests.helpers.census_files import OFFICIAL_FOLDER
from tests.helpers.parity import (
    KINDS,
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

EXECUTIONS = ("eager", "step", "epoch")


OPTIMIZERS = {
    "as it is": presets.tutorial_training().optimizer,
    "by SGD": SGD(learning_rate=0.05, momentum=0.9, weight_decay=1e-3),
}


@functools.cache
def tutorial(optimizer, name, execution):
    train = replace(presets.tutorial_training(), optimizer=OPTIMIZERS[optimizer])
    return fit(name, presets.tutorial_model(), train, presets.tutorial_data(), execution=execution)


class TestTutorial:
    """The original example, 320 steps, in every execution; and by an optimizer that every backend has."""

    CASES: ClassVar = [("as it is", one, other) for one, other in itertools.product(EXECUTIONS, EXECUTIONS)]

    @each_backend
    @pytest.mark.parametrize(("optimizer", "execution"), [*(("as it is", e) for e in EXECUTIONS), ("by SGD", "auto")])
    def test_each_ran_what_it_says(self, name, optimizer, execution):
        history = tutorial(optimizer, name, execution).history
        assert execution in ("auto", history.execution)
        assert history.step_loss.shape == (320,)
        assert len(np.unique(history.step_loss)) == 320
        np.testing.assert_allclose(history.step_loss, sum(history.task_loss.values()), rtol=1e-12)
        by_epoch = history.step_loss.reshape(10, 32).mean(axis=1)
        np.testing.assert_allclose([epoch["loss"] for epoch in history.epochs], by_epoch, rtol=1e-12)

    @each_pair
    @pytest.mark.parametrize(("optimizer", "first", "second"), [*CASES, ("by SGD", "auto", "auto")])
    def test_two_backends(self, pair, optimizer, first, second):
        one, other = tutorial(optimizer, pair[0], first), tutorial(optimizer, pair[1], second)
        compare_curves(one.history, other.history, RTOL)
        compare_params(one.params, other.params, PARAMS_RTOL)

    @each_backend
    @pytest.mark.parametrize(("one", "other"), list(itertools.combinations(EXECUTIONS, 2)))
    def test_executions_of_one_backend(self, name, one, other):
        runs = (tutorial("as it is", name, execution).history for execution in (one, other))
        compare_curves(*runs, WITHIN)


@each_pair
@pytest.mark.parametrize("kinds", KINDS)
def test_rows_in_their_own_order_and_the_whole_set_as_one_batch(kinds, pair):
    model = example_model(kinds)
    train = TrainSpec(
        optimizer=SGD(learning_rate=0.1, momentum=0.9), shuffle=False, batch_size=64, epochs=20, precision="float64"
    )
    both(pair, model, train, example_data(model, 50, missing=True), steps=20)


@each_pair
@pytest.mark.parametrize(
    "optimizer",
    [SGD(learning_rate=0.1, momentum=0.9), Adam(), AdamW(learning_rate=1e-2), Adagrad(), RMSprop()],
    ids=str,
)
def test_the_first_ten_steps_in_float32(optimizer, pair):
    model = example_model("tied", normalization="layer", dropout=0.1)
    train = TrainSpec(optimizer=optimizer, batch_size=32, epochs=1, seed=5)
    both(pair, model, train, example_data(model, 320, missing=True, weighted=True), rtol=1e-5, steps=10)


class TestTrainingOn:
    """Half of the run in one backend, the other half in another."""

    MODEL = example_model("tied", normalization="layer", dropout=0.2)
    DATA = example_data(MODEL, 250, missing=True, weighted=True)
    TRAIN = TrainSpec(optimizer=SGD(learning_rate=0.1, momentum=0.5), batch_size=16, epochs=10, seed=1)

    def run(self, name, params=None, seed=1):
        return fit(name, self.MODEL, replace(self.TRAIN, seed=seed), self.DATA, params)

    @each_way
    def test_the_curve_goes_on(self, first, then):
        begun = self.run(first)
        expected = self.run(first, begun.params, seed=2)
        fitted = self.run(then, begun.params, seed=2)
        anew = self.run(then, seed=2)
        assert abs(fitted.history.step_loss[0] / anew.history.step_loss[0] - 1) > 1e-3
        compare_curves(expected.history, fitted.history, RTOL)
        compare_params(expected.params, fitted.params, PARAMS_RTOL)


@each_pair
def test_census_income(pair):
    """The official rows where the files are, and synthetic rows of the same columns and vocabularies elsewhere."""
    official, rows = OFFICIAL_FOLDER.is_dir(), 500 * 64
    census = census_income.load(OFFICIAL_FOLDER) if official else census_income.synthetic(rows)
    model = presets.census_model(census.vocabularies)
    train = replace(presets.census_training(), batch_size=64, epochs=1, precision="float64")
    one, other = both(pair, model, train, census.train.take(slice(rows)), steps=500)
    compare_params(one.params, other.params, PARAMS_RTOL)
    loss = one.history.task_loss["never_married"]
    assert loss[-50:].mean() < (0.5 if official else 0.7) * loss[0]
