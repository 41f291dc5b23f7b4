"""Every parameter's gradient is the same in all backends, and the slope of the loss that NumPy computes."""

from dataclasses import replace

import numpy as np
import pytest

from spec import initial_params, load_backend
from tests.helpers.backends import BACKENDS, PAIRS, each_backend, each_pair
from tests.helpers.parity import KINDS, compare_params, example_data, example_model
from tests.helpers.plain import plain_logits, plain_loss

RTOL = 1e-10


def agreed(model, params, data):
    """The gradients of all backends, which agree with each other, as their losses do with NumPy's."""
    runs = {name: load_backend(name).gradients(model, params, data, device="cpu") for name in BACKENDS}
    expected = plain_loss(model, params, data)
    assert np.isfinite(expected)
    for loss, gradients in runs.values():
        assert loss == pytest.approx(expected, rel=1e-12, abs=0)
        assert {value.dtype for value in gradients.values()} == {np.dtype("float64")}
    for one, other in PAIRS:
        assert runs[one][0] == pytest.approx(runs[other][0], rel=1e-12, abs=0)
        compare_params(runs[one][1], runs[other][1], RTOL)
    return runs[BACKENDS[0]][1]


@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("kinds", KINDS)
def test_gradients_of_every_kind(kinds, missing, weighted):
    model = example_model(kinds)
    data = example_data(model, 50, missing=missing, weighted=weighted)
    gradients = agreed(model, initial_params(model, seed=5, precision="float64"), data)
    assert all(np.abs(value).max() > 0 for value in gradients.values())


@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh"])
def test_gradients_of_every_activation(activation, normalization):
    model = example_model("tied", activation=activation, normalization=normalization)
    data = example_data(model, 50, missing=True, weighted=True)
    agreed(model, initial_params(model, seed=6, precision="float64"), data)


@pytest.mark.parametrize("kinds", KINDS)
def test_extreme_logits(kinds):
    model = example_model(kinds, activation="tanh")
    params = initial_params(model, seed=2, precision="float64")
    data = example_data(model, 50)
    logits = plain_logits(model, params, data)
    for task in model.tasks:  # spread over ±1e4 and beyond, about half of the rows on either side
        last, x = f"tasks.{task.name}.{len(task.hidden)}", logits[task.name]
        factor, middle = 1e4 / x.std(axis=0), np.median(x, axis=0)
        params[f"{last}.kernel"] *= factor
        params[f"{last}.bias"] = (params[f"{last}.bias"] - middle) * factor
    for x in plain_logits(model, params, data).values():
        assert x.min() < -1e4
        assert x.max() > 1e4
    agreed(model, params, data)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_the_slope_of_relu_at_and_below_zero(value):
    model = example_model("untied", activation="relu")
    params = initial_params(model, seed=2, precision="float64")
    params["trunk.1.kernel"][:, ::2] = 0.0
    params["trunk.1.bias"][::2] = value
    gradients = agreed(model, params, example_data(model, 20))
    assert not gradients["trunk.1.bias"][::2].any()
    assert gradients["trunk.1.bias"][1::2].any()


@pytest.mark.parametrize("task", ["click", "span", "city"])
def test_a_task_without_a_label_adds_no_loss_and_no_gradient(task):
    model = example_model("tied")
    data = example_data(model, 30, weighted=True)
    label = data.labels[task]
    gone = np.full_like(label, -1) if task == "city" else np.full(label.shape, np.nan)
    data = replace(data, labels={**data.labels, task: gone})
    params = initial_params(model, seed=5, precision="float64")
    gradients = agreed(model, params, data)
    for name, value in gradients.items():
        assert value.any() != name.startswith(f"tasks.{task}."), name
    others = replace(model, tasks=tuple(other for other in model.tasks if other.name != task))
    kept = {name: value for name, value in params.items() if not name.startswith(f"tasks.{task}.")}
    labels = {name: value for name, value in data.labels.items() if name != task}
    weights = {name: weight for name, weight in data.task_weight.items() if name != task}
    alone = agreed(others, kept, replace(data, labels=labels, task_weight=weights))
    compare_params(alone, {name: gradients[name] for name in alone}, 1e-12)


def test_a_batch_without_any_label_adds_no_loss_and_no_gradient():
    model = example_model("tied")
    data = example_data(model, 10, weighted=True)
    labels = {
        task.name: np.full_like(data.labels[task.name], -1)
        if task.kind == "multiclass"
        else np.full(data.labels[task.name].shape, np.nan)
        for task in model.tasks
    }
    gradients = agreed(model, initial_params(model, seed=5, precision="float64"), replace(data, labels=labels))
    assert not any(value.any() for value in gradients.values())


def test_a_task_whose_labels_all_have_weight_zero_adds_nothing():
    model = example_model("tied")
    data = example_data(model, 10)
    weight = np.array([0.0] * 5 + [1.0] * 5)
    label = np.where(weight == 0, 1.0, np.nan)
    data = replace(data, sample_weight=weight, labels={**data.labels, "click": label})
    params = initial_params(model, seed=5, precision="float64")
    gradients = agreed(model, params, data)
    assert not gradients["tasks.click.0.kernel"].any()
    assert gradients["tasks.buy.0.kernel"].any()


@each_backend
@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_gradients_are_the_slopes_of_the_plain_loss(name, normalization):
    model = example_model("tied", activation="gelu", normalization=normalization)
    data = example_data(model, 12, missing=True, weighted=True)
    params = initial_params(model, seed=8, precision="float64")
    _, gradients = load_backend(name).gradients(model, params, data, device="cpu")
    draw, width = np.random.default_rng(0), 1e-5
    for parameter, value in params.items():
        for flat in draw.choice(value.size, min(3, value.size), replace=False):
            index = np.unravel_index(flat, value.shape)
            around = []
            for sign in (1, -1):
                moved = value.copy()
                moved[index] += sign * width
                around.append(plain_loss(model, {**params, parameter: moved}, data))
            slope = (around[0] - around[1]) / (2 * width)
            assert gradients[parameter][index] == pytest.approx(slope, rel=1e-5, abs=1e-8), (parameter, index)


@each_pair
def test_gradients_in_float32(pair):
    model = example_model("tied", normalization="layer")
    data = example_data(model, 50, missing=True, weighted=True)
    params = initial_params(model, seed=6)
    (_, one), (_, other) = (load_backend(name).gradients(model, params, data, device="cpu") for name in pair)
    compare_params(one, other, 1e-4)  # a bias's gradient is a sum whose rows nearly cancel
