"""Training with each backend by itself: history, executions, precision, devices, progress."""

import io
from dataclasses import replace

import numpy as np
import pytest

from backends.costs import Cost
from spec import SGD, Adam, Dataset, ModelSpec, TaskSpec, initial_params, parameter_shapes, presets
from spec.data import row_order
from tests.helpers.plain import plain_losses
from tests.helpers.runs import executions, training


def test_auto_takes_the_execution_that_ends_first_compiling_included(backend, monkeypatch):
    """By costs that make the crossings easy to see; the tutorial's step is 0.8 million floating-point operations."""
    model, train = presets.tutorial_model(), presets.tutorial_training()
    costs = {
        "eager": Cost(first=0.0, step=1e-3, flops=1e12),
        "step": Cost(first=8.0, step=2e-4, flops=1e12),
        "epoch": Cost(first=20.0, step=8e-5, flops=1e12),
    }
    monkeypatch.setattr(backend, "costs", costs)
    taken = {steps: backend.best_execution(model, train, steps) for steps in (1, 9_900, 10_100, 99_000, 101_000)}
    assert taken == {1: "eager", 9_900: "eager", 10_100: "step", 99_000: "step", 101_000: "epoch"}
    # Where compiling makes the arithmetic faster, a large network wins its seconds back within fewer steps.
    monkeypatch.setattr(backend, "costs", costs | {"eager": costs["eager"]._replace(flops=1e10)})
    assert backend.best_execution(model, train, 9_000) == "eager"
    assert backend.best_execution(presets.wide_model(), presets.wide_training(), 100) == "step"


def test_auto_is_decided_by_the_steps_of_the_whole_run(backend, monkeypatch, model, data):
    asked, train = [], training(backend, execution="auto")
    monkeypatch.setattr(backend, "best_execution", lambda *arguments: asked.append(arguments) or "eager")
    assert backend.fit(model, train, data).history.execution == "eager"
    assert asked == [(model, train, 6)]


def test_history(backend, model, data):
    train = training(backend, execution="auto")
    fitted = backend.fit(model, train, data, validation=data.take(slice(10)))
    history, steps = fitted.history, 6
    assert history.execution == backend.best_execution(model, train, steps)
    assert history.execution in ("eager", "step", "epoch")
    assert history.device == "cpu"
    curves = [history.step_loss, *history.task_loss.values()]
    assert [(curve.dtype, curve.shape) for curve in curves] == [(np.float64, (steps,))] * 6
    assert list(history.task_loss) == [task.name for task in model.tasks]
    weighted = sum(task.weight * history.task_loss[task.name] for task in model.tasks)
    np.testing.assert_allclose(history.step_loss, weighted, rtol=1e-6)
    assert [(entry["epoch"], entry["step"]) for entry in history.epochs] == [(1, 3), (2, 6)]
    for i, entry in enumerate(history.epochs):
        assert set(entry) == {"epoch", "step", "loss", "task_loss", "metrics", "seconds"}
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


@executions
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
    for part in ("epoch", "2/2", "6/6", f"{history.step_loss[-1]:.5g}"):
        assert part in shown
    assert capfd.readouterr().out == ""
