"""Predictions where a factor is beyond what a number can be, and the product is not; and where the product is, too."""

import numpy as np
import pytest

from backends.links import predictions
from spec import ModelSpec, TaskSpec


def predicted(loss, outputs):
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(TaskSpec(name="x", kind="regression", loss=loss),))
    return predictions(model, {"x": np.array([outputs], np.float32)})["x"]


def test_a_small_probability_of_a_large_amount_has_the_mean_of_both():
    log_mean = -110.0 + 100.0 + np.log1p(np.e) ** 2 / 2.0  # σ = log(1 + e¹)
    np.testing.assert_allclose(predicted("zero_inflated_lognormal", (-110.0, 100.0, 1.0)), [[np.exp(log_mean)]], 1e-5)


@pytest.mark.parametrize(("loss", "outputs"), [("zero_inflated_lognormal", (0.0, 100.0, 0.0)), ("poisson", (100.0,))])
def test_a_mean_that_is_too_large_is_infinite_without_a_word(loss, outputs):
    assert predicted(loss, outputs).tolist() == [[np.inf]]
