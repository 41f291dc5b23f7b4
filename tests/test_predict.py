"""What a backend gives for trained parameters: predictions, gradients, the native module."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, softmax

from backends import predictor
from spec import SGD, initial_params, load_backend, presets
from tests.helpers.parity import LISTS, example_model
from tests.helpers.plain import central_differences, plain_logits, plain_loss
from tests.helpers.runs import training


def by_task(logits):
    return {task: np.asarray(x.detach()) if hasattr(x, "detach") else np.asarray(x) for task, x in logits.items()}


def call(backend, network, data):
    if backend.name == "torch":
        from torch import from_numpy as native
    else:
        from jax.numpy import asarray as native
    return by_task(network(native(data.numeric.astype(np.float32)), native(data.categorical.astype(np.int32))))


@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_predictions(backend, model, data, normalization):
    model = replace(model, normalization=normalization, dropout=0.5)  # which plays no part here
    params = initial_params(model, seed=2, precision="float64")
    predicted = backend.predict(model, params, replace(data, labels={}))
    assert {name: value.shape for name, value in predicted.items()} == {
        "click": (20,),
        "price": (20, 2),
        "buy": (20,),
        "region": (20, 4),
        "span": (20, 1),
    }
    assert list(predicted) == [task.name for task in model.tasks]
    for name in ("click", "buy"):
        assert ((predicted[name] > 0) & (predicted[name] < 1)).all()
    assert (predicted["region"] > 0).all()
    np.testing.assert_allclose(predicted["region"].sum(axis=1), 1.0, rtol=1e-12)
    logits = plain_logits(model, params, data)
    expected = {name: logits[name] for name in ("price", "span")}
    expected |= {name: expit(logits[name][:, 0]) for name in ("click", "buy")}
    expected["region"] = softmax(logits["region"], axis=1)
    for name, value in predicted.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-12, err_msg=name)


def test_predictions_far_from_0_do_not_overflow(backend, model, data):
    params = {name: value * 1e4 for name, value in initial_params(model).items()}
    predicted = backend.predict(model, params, data)
    for name in ("click", "buy", "region"):
        assert ((predicted[name] >= 0) & (predicted[name] <= 1)).all()
    np.testing.assert_allclose(predicted["region"].sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 10])
def test_more_rows_than_one_call_predicts(backend, monkeypatch, model, data, size):
    params = initial_params(model, precision="float64")
    whole = backend.predict(model, params, data)
    monkeypatch.setattr(predictor, "PREDICT_ROWS", size)
    forward, rows = backend.forward(model, params, "cpu"), []

    def counted(output, inputs):
        rows.append(len(inputs["numeric"]))
        return forward(output, inputs)

    monkeypatch.setattr(backend, "forward", lambda *_: counted)
    pieces = backend.predict(model, params, data)
    assert rows == [size] * -(-20 // size)
    for name, value in whole.items():
        np.testing.assert_allclose(pieces[name], value, rtol=1e-12)


@pytest.mark.slow
def test_jax_compiles_for_few_numbers_of_rows(caplog):
    jax = pytest.importorskip("jax")
    pytest.importorskip("flax")
    backend, model = load_backend("jax"), example_model("untied", trunk=(7,), categorical=LISTS)
    params, data = initial_params(model), presets.random_data(model, 16)

    def compiled(rows):
        caplog.clear()
        with jax.log_compiles():
            predictions = backend.predict(model, params, data.take(slice(rows)))
        assert {len(values) for values in predictions.values()} == {rows}
        return any("ompil" in record.getMessage() for record in caplog.records)

    caplog.set_level(logging.DEBUG, logger="jax")
    assert [rows for rows in (2, 8, 16) if compiled(rows)] == [2, 8, 16]
    assert [rows for rows in (2, 5, 6, 7, 8, 9, 13, 16) if compiled(rows)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "normalization", "initializer"),
    [("tanh", "none", "torch_default"), ("gelu", "layer", "torch_default"), ("silu", "layer", "he_normal")],
)
def test_gradients_are_finite_differences(backend, model, data, activation, normalization, initializer):
    model = replace(model, activation=activation, normalization=normalization, initializer=initializer)
    params = initial_params(model, seed=4, precision="float64")
    loss, gradient = backend.gradients(model, params, data)
    assert loss == pytest.approx(plain_loss(model, params, data), rel=1e-12)
    assert list(gradient) == list(params)
    for name, expected in central_differences(model, params, data).items():
        np.testing.assert_allclose(gradient[name], expected, rtol=1e-6, atol=1e-8, err_msg=name)
        assert np.abs(gradient[name]).max() > 1e-6, name


def test_gradients_are_without_dropout(backend, model, data):
    params = initial_params(model, precision="float64")
    plain, dropping = (backend.gradients(replace(model, dropout=rate), params, data) for rate in (0.0, 0.5))
    assert plain[0] == dropping[0]
    train = training(backend, batch_size=20, epochs=1, precision="float64")
    fitted = backend.fit(replace(model, dropout=0.5), train, data, params=params)
    assert fitted.history.step_loss[0] != pytest.approx(plain[0], rel=1e-3)


@pytest.mark.parametrize("how", ["weight 0", "no label", "no label that counts"])
def test_a_task_that_counts_for_nothing(backend, model, data, how):
    """The others' gradients are those of a model without it."""
    params = initial_params(model, seed=6, precision="float64")
    without = replace(model, tasks=tuple(task for task in model.tasks if task.name != "buy"))
    others = {name: label for name, label in data.labels.items() if name != "buy"}
    if how == "weight 0":
        model = replace(model, tasks=tuple(replace(t, weight=0.0) if t.name == "buy" else t for t in model.tasks))
    else:
        label = np.full(20, np.nan)
        if how == "no label that counts":
            label[data.sample_weight == 0] = 1.0
        data = replace(data, labels=others | {"buy": label})
    rest = {name: value for name, value in params.items() if not name.startswith("tasks.buy.")}
    loss, gradient = backend.gradients(model, params, data)
    expected_loss, expected = backend.gradients(without, rest, replace(data, labels=others))
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for name, value in gradient.items():
        if name in rest:
            np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-14)
        else:
            np.testing.assert_array_equal(value, 0.0)
    train = training(backend, optimizer=SGD(learning_rate=0.1), epochs=1, precision="float64")
    fitted = backend.fit(model, train, data, params=params)
    np.testing.assert_array_equal(fitted.history.task_loss["buy"] > 0, [how == "weight 0"] * 3)
    for name in params.keys() - rest.keys():
        np.testing.assert_array_equal(fitted.params[name], params[name])


def test_build_gives_the_native_module(backend, model, data):
    params = initial_params(model, seed=5)
    network = backend.build(model, params, device="cpu")
    if backend.name == "torch":
        from torch.nn import Module
    else:
        from flax.nnx import Module
    assert isinstance(network, Module)
    logits, predicted = call(backend, network, data), backend.predict(model, params, data, device="cpu")
    assert list(logits) == [task.name for task in model.tasks]
    assert {name: x.shape[1] for name, x in logits.items()} == {task.name: task.outputs for task in model.tasks}
    for name in ("price", "span"):
        np.testing.assert_allclose(logits[name], predicted[name], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(expit(logits["buy"][:, 0]), predicted["buy"], rtol=1e-6)
    np.testing.assert_allclose(softmax(logits["region"], axis=1), predicted["region"], rtol=1e-5)


def test_build_copies_the_params(backend, model, data):
    params = initial_params(model, seed=5)
    network = backend.build(model, params, device="cpu")
    before = call(backend, network, data)["span"]
    for value in params.values():
        value[...] = 0.0
    np.testing.assert_array_equal(call(backend, network, data)["span"], before)
