"""Each backend by itself: training, its history, predictions, gradients, the native module, the progress bar."""

import io
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf, expit, log_softmax, softmax

from backends import base
from spec import SGD, Adam, Dataset, ModelSpec, TaskSpec, TrainSpec, initial_params, parameter_shapes, presets
from spec.data import label_present, row_order

FAST = {"torch": "eager", "jax": "epoch"}
"""What ends first for a few steps."""


def training(backend, **fields):
    own = {"batch_size": 8, "epochs": 2, "seed": 1, "device": "cpu", "execution": FAST[backend.name]}
    return TrainSpec(**(own | fields))


def by_task(logits):
    return {task: np.asarray(x.detach()) if hasattr(x, "detach") else np.asarray(x) for task, x in logits.items()}


def call(backend, network, data):
    if backend.name == "torch":
        from torch import from_numpy as native
    else:
        from jax.numpy import asarray as native
    return by_task(network(native(data.numeric.astype(np.float32)), native(data.categorical.astype(np.int32))))


# The network and its loss in NumPy, one task and one row mask at a time.

ACTIVATIONS = {
    "tanh": np.tanh,
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "silu": lambda x: x * expit(x),
}


def plain_hidden(model, params, name, x):
    x = x @ params[f"{name}.kernel"] + params[f"{name}.bias"]
    if model.normalization == "layer":
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        x = x * params[f"{name}.norm.scale"] + params[f"{name}.norm.bias"]
    return ACTIVATIONS[model.activation](x)


def plain_logits(model, params, data):
    tables = [params[f"embeddings.{f.name}"][data.categorical[:, i]] for i, f in enumerate(model.categorical)]
    x = np.hstack([data.numeric, *tables])
    for i in range(len(model.trunk)):
        x = plain_hidden(model, params, f"trunk.{i}", x)
    found = {}
    for task in model.tasks:
        y = x
        for i in range(len(task.hidden)):
            y = plain_hidden(model, params, f"tasks.{task.name}.{i}", y)
        last = f"tasks.{task.name}.{len(task.hidden)}"
        found[task.name] = y @ params[f"{last}.kernel"] + params[f"{last}.bias"]
    return found


def plain_losses(model, params, data):
    losses, logits = {}, plain_logits(model, params, data)
    for task in model.tasks:
        label, x = data.labels[task.name], logits[task.name]
        there = label_present(label, task)
        label, x, weight = label[there], x[there], data.sample_weight[there]
        if task.kind == "binary":
            rows = -label * np.log(expit(x[:, 0])) - (1 - label) * np.log(1 - expit(x[:, 0]))
        elif task.kind == "regression":
            rows = ((x - label.reshape(x.shape)) ** 2).mean(axis=1)
        else:
            rows = -log_softmax(x, axis=1)[np.arange(len(x)), label]
        losses[task.name] = (weight * rows).sum() / weight.sum() if weight.sum() else 0.0
    return losses


def plain_loss(model, params, data):
    losses = plain_losses(model, params, data)
    return sum(task.weight * losses[task.name] for task in model.tasks)


def central_differences(model, params, data, step=1e-5):
    found = {}
    for name, value in params.items():
        found[name] = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            sides = []
            for sign in (1, -1):
                moved = value.copy()
                moved[place] += sign * step
                sides.append(plain_loss(model, params | {name: moved}, data))
            found[name][place] = (sides[0] - sides[1]) / (2 * step)
    return found


def test_history(backend, model, data):
    train = training(backend, execution="auto")
    fitted = backend.fit(model, train, data, validation=data.take(slice(10)))
    history, steps = fitted.history, 6
    assert history.execution == backend.best_execution(model, train, steps, "cpu")
    assert history.execution in ("eager", "step", "epoch")
    assert history.device == "cpu"
    curves = [history.step_loss, *history.task_loss.values()]
    assert [(curve.dtype, curve.shape) for curve in curves] == [(np.float64, (steps,))] * 6
    assert list(history.task_loss) == [task.name for task in model.tasks]
    weighted = sum(task.weight * history.task_loss[task.name] for task in model.tasks)
    np.testing.assert_allclose(history.step_loss, weighted, rtol=1e-6)
    assert [entry["epoch"] for entry in history.epochs] == [1, 2]
    for i, entry in enumerate(history.epochs):
        assert set(entry) == {"epoch", "loss", "task_loss", "metrics", "seconds"}
        assert entry["seconds"] > 0
        assert entry["loss"] == pytest.approx(history.step_loss[3 * i : 3 * i + 3].mean())
        for name, curve in history.task_loss.items():
            assert entry["task_loss"][name] == pytest.approx(curve[3 * i : 3 * i + 3].mean())
        assert {task: list(metrics) for task, metrics in entry["metrics"].items()} == {
            "click": ["auc", "log_loss"],
            "price": ["rmse", "mae"],
            "buy": ["auc", "log_loss"],
            "region": ["accuracy", "log_loss"],
            "span": ["rmse", "mae"],
        }
    assert {name: (v.shape, v.dtype) for name, v in fitted.params.items()} == {
        name: (shape, np.float32) for name, shape in parameter_shapes(model).items()
    }
    assert list(fitted.params) == list(parameter_shapes(model))


def test_metrics_are_those_of_the_epochs_end(backend, model, data):
    fitted = backend.fit(model, training(backend), data, validation=data.take(slice(10)))
    predicted = backend.predict(model, fitted.params, data.take(slice(10)))["price"]
    label, weight = data.labels["price"][:10], data.sample_weight[:10] * ~np.isnan(data.labels["price"][:10, 1])
    rmse = np.sqrt((weight * np.nan_to_num((predicted - label) ** 2).mean(axis=1)).sum() / weight.sum())
    assert fitted.history.epochs[1]["metrics"]["price"]["rmse"] == pytest.approx(rmse, rel=1e-5)
    assert fitted.history.epochs[0]["metrics"]["price"]["rmse"] != pytest.approx(rmse, rel=1e-5)


@pytest.mark.parametrize("execution", ["eager", "step", "epoch"])
def test_the_execution_that_is_asked_for_runs(backend, execution):
    model = ModelSpec(numeric=2, trunk=(3,), tasks=(TaskSpec(name="a", kind="regression"),))
    data = presets.random_data(model, 6)
    train = training(backend, execution=execution, batch_size=4, epochs=1, precision="float64")
    params = initial_params(model, seed=1, precision="float64")
    history = backend.fit(model, train, data, params=params).history
    assert history.execution == execution
    first = data.take(row_order(1, 0, 6)[:4])
    assert history.step_loss[0] == pytest.approx(backend.gradients(model, params, first)[0], rel=1e-12)
    assert len(history.step_loss) == 2


def test_a_run_is_a_plain_loop_over_its_rows(backend, model, data):
    """Without padding: each step's rows as a data set of their own, the last one short."""
    train = training(backend, optimizer=SGD(learning_rate=0.1), precision="float64")
    params = initial_params(model, seed=9, precision="float64")
    fitted = backend.fit(model, train, data, params=params)
    curve, tasks = [], []
    for epoch in range(2):
        order = row_order(train.seed, epoch, 20)
        for start in range(0, 20, 8):
            rows = data.take(order[start : start + 8])
            loss, gradient = backend.gradients(model, params, rows, device="cpu")
            tasks.append(plain_losses(model, params, rows))
            params = {name: value - 0.1 * gradient[name] for name, value in params.items()}
            curve.append(loss)
    np.testing.assert_allclose(fitted.history.step_loss, curve, rtol=1e-10)
    for name, found in fitted.history.task_loss.items():
        np.testing.assert_allclose(found, [losses[name] for losses in tasks], rtol=1e-10)
    for name, value in fitted.params.items():
        np.testing.assert_allclose(value, params[name], rtol=1e-9, atol=1e-12)


def test_it_starts_from_the_given_params(backend, model, data):
    params = initial_params(model, seed=8)
    before = {name: value.copy() for name, value in params.items()}
    train = training(backend, shuffle=False, batch_size=20, epochs=2)
    given = backend.fit(model, train, data, params=params)
    assert given.history.step_loss[0] == pytest.approx(backend.gradients(model, params, data)[0], rel=1e-5)
    for name, value in params.items():
        np.testing.assert_array_equal(value, before[name])
    own = backend.fit(model, train, data)
    seeded = backend.fit(model, train, data, params=initial_params(model, seed=train.seed))
    np.testing.assert_array_equal(own.history.step_loss, seeded.history.step_loss)
    assert own.history.step_loss[0] != given.history.step_loss[0]


def test_two_runs_are_bit_identical(backend, model, data):
    model, train = replace(model, dropout=0.3, normalization="layer"), training(backend, clip_norm=1.0)
    first, second, other = (backend.fit(model, t, data) for t in (train, train, replace(train, seed=2)))
    np.testing.assert_array_equal(first.history.step_loss, second.history.step_loss)
    for name, value in first.params.items():
        np.testing.assert_array_equal(value, second.params[name])
    assert not np.array_equal(first.history.step_loss, other.history.step_loss)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_precision(backend, model, data, precision):
    other = {"float32": "float64", "float64": "float32"}[precision]
    fitted = backend.fit(
        model, training(backend, precision=precision), data, params=initial_params(model, precision=other)
    )
    assert {value.dtype for value in fitted.params.values()} == {np.dtype(precision)}
    predicted = backend.predict(model, fitted.params, data)
    assert {value.dtype for value in predicted.values()} == {np.dtype(precision)}
    loss, gradient = backend.gradients(model, fitted.params, data)
    assert type(loss) is float
    assert {value.dtype for value in gradient.values()} == {np.dtype(precision)}


def test_the_loss_of_each_kind_falls(backend):
    draw = np.random.default_rng(0)
    x = draw.standard_normal((96, 4))
    tasks = (
        TaskSpec(name="sign", kind="binary", hidden=(8,)),
        TaskSpec(name="value", kind="regression", hidden=(8,), outputs=2),
        TaskSpec(name="largest", kind="multiclass", hidden=(8,), outputs=4),
    )
    model = ModelSpec(numeric=4, trunk=(16,), tasks=tasks)
    labels = {"sign": (x[:, 0] > 0).astype(float), "value": x[:, :2] * [1, -2], "largest": x.argmax(axis=1)}
    data = Dataset(numeric=x, labels=labels)
    train = training(backend, optimizer=Adam(learning_rate=1e-2), batch_size=32, epochs=50)
    fitted = backend.fit(model, train, data, validation=data)
    for name, curve in fitted.history.task_loss.items():
        assert curve[-3:].mean() < 0.4 * curve[:3].mean(), name
    metrics = fitted.history.epochs[-1]["metrics"]
    assert metrics["sign"]["auc"] > 0.95
    assert metrics["largest"]["accuracy"] > 0.8


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
    monkeypatch.setattr(base, "PREDICT_ROWS", size)
    own, rows = backend.logits, []
    monkeypatch.setattr(backend, "logits", lambda net, x: rows.append(len(x["numeric"])) or own(net, x))
    pieces = backend.predict(model, params, data)
    assert rows == [size] * -(-20 // size)
    for name, value in whole.items():
        np.testing.assert_allclose(pieces[name], value, rtol=1e-12)


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


def test_a_batch_larger_than_the_data_is_one_short_batch(backend, model, data):
    exact, larger = (backend.fit(model, training(backend, batch_size=size), data) for size in (20, 33))
    assert larger.history.step_loss.shape == (2,)
    np.testing.assert_allclose(larger.history.step_loss, exact.history.step_loss, rtol=1e-5)


def test_no_gpu_is_an_error_and_never_the_cpu(backend, monkeypatch, model, data):
    monkeypatch.setattr(backend, "has_gpu", lambda: False)
    params = initial_params(model)
    asked = [
        lambda: backend.fit(model, training(backend, device="gpu"), data),
        lambda: backend.predict(model, params, data, device="gpu"),
        lambda: backend.gradients(model, params, data, device="gpu"),
        lambda: backend.build(model, params, device="gpu"),
    ]
    for ask in asked:
        with pytest.raises(ValueError, match=rf"device: expected 'cpu' or 'auto', got 'gpu'.*{backend.name}"):
            ask()
    assert backend.fit(model, training(backend, device="auto", epochs=1), data).history.device == "cpu"


@pytest.mark.gpu
def test_the_gpu_trains_as_the_cpu_does(backend, model, data):
    if not backend.has_gpu():
        pytest.skip(f"{backend.name} sees no GPU here")
    runs = {d: backend.fit(model, training(backend, device=d, execution="auto"), data) for d in ("cpu", "gpu")}
    assert runs["gpu"].history.device == "gpu"
    np.testing.assert_allclose(runs["gpu"].history.step_loss, runs["cpu"].history.step_loss, rtol=1e-4)
    predicted = {d: backend.predict(model, run.params, data, device=d) for d, run in runs.items()}
    for name, value in predicted["cpu"].items():
        np.testing.assert_allclose(predicted["gpu"][name], value, rtol=1e-3, atol=1e-4)


def test_silence_where_stderr_is_no_terminal(backend, capfd, model, data):
    backend.fit(model, training(backend), data, validation=data)
    assert capfd.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(backend, capfd, monkeypatch, model, data):
    terminal = Terminal()
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("sys.stderr", terminal)
    history = backend.fit(model, training(backend), data).history
    shown = terminal.getvalue()
    for part in ("epoch", "2/2", "6/6", f"{history.epochs[-1]['loss']:.5f}"):
        assert part in shown
    assert capfd.readouterr().out == ""
