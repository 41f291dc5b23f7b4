"""Threads of one process that train, or take gradients, at the same time get what each would get alone, bit for bit."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from spec import SGD, Adam, Fixed, ModelSpec, PCGrad, TaskSpec, initial_params, load_backend, presets
from tests.helpers.runs import training

MODEL = ModelSpec(numeric=2, trunk=(3,), tasks=(TaskSpec(name="a", kind="regression"),))
DATA = presets.random_data(MODEL, 6)


def together(*jobs):
    """What the jobs return, each one run in a thread of its own; they begin at the same moment."""
    barrier = threading.Barrier(len(jobs))
    results, errors = {}, []

    def work(i, job):
        barrier.wait()
        try:
            results[i] = job()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=item) for item in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[i] for i in range(len(jobs))]


def compare(backend, jobs):
    """The jobs run together, and then one after the other."""
    for one, other in zip(together(*jobs), [job() for job in jobs], strict=True):
        np.testing.assert_array_equal(one.history.step_loss, other.history.step_loss)
        for name, value in one.params.items():
            np.testing.assert_array_equal(value, other.params[name])


@pytest.mark.parametrize("others", ["equal", "another model", "another optimizer"])
def test_two_threads_fit(backend, model, data, others):
    train = training(backend, epochs=20)
    models = model, replace(model, dropout=0.5) if others == "another model" else model
    trains = train, replace(train, optimizer=SGD(learning_rate=0.1)) if others == "another optimizer" else train

    def job(i):
        return lambda: backend.fit(models[i], trains[i], data, params=initial_params(model, seed=i))

    compare(backend, [job(0), job(1)])


def test_two_threads_take_gradients(backend, model, data):
    def job(seed):
        params = initial_params(model, seed=seed)
        return lambda: [backend.gradients(model, params, data) for _ in range(30)]

    jobs = [job(1), job(2)]
    for one, other in zip(together(*jobs), [job() for job in jobs], strict=True):
        for (loss, gradient), (expected_loss, expected) in zip(one, other, strict=True):
            assert loss == expected_loss
            for name, value in gradient.items():
                np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("balancing", [Fixed(), PCGrad()], ids=lambda balancing: balancing.kind)
def test_many_runs_in_a_few_threads_beside_predictions_and_gradients(backend, model, data, balancing):
    train = training(backend, epochs=2, batch_size=8, balancing=balancing)

    def work(seed):
        params = initial_params(model, seed=seed)
        fitted = backend.fit(model, train, data, data, params=params)
        loss, gradients = backend.gradients(model, params, data)
        arrays = {"curve": fitted.history.step_loss, "loss": np.array(loss), **fitted.params}
        arrays |= {f"gradient of {name}": gradient for name, gradient in gradients.items()}
        return arrays | backend.predict(model, params, data)

    expected = [work(seed) for seed in range(3)]
    with ThreadPoolExecutor(4) as pool:
        for i, arrays in enumerate(pool.map(work, [i % 3 for i in range(24)])):
            for name, value in expected[i % 3].items():
                np.testing.assert_array_equal(arrays[name], value, err_msg=name)


def test_jax_in_each_execution_at_once():
    pytest.importorskip("flax")
    backend = load_backend("jax")
    jobs = [fit(backend, execution, seed) for execution in ("eager", "step", "epoch") for seed in (1, 2)]
    compare(backend, jobs)


def test_torch_compiles_each_function_once_while_other_threads_train():
    """A call of a compiled function while another thread compiles would have both functions compiled again."""
    torch = pytest.importorskip("torch")
    from backends.torch.steps import compiled_run

    compiled_run.cache_clear()
    backend = load_backend("torch")
    jobs = [fit(backend, execution, seed) for execution in ("step", "epoch", "eager") for seed in (1, 2)]
    graphs = torch._dynamo.utils.counters["stats"]
    before = graphs["unique_graphs"]
    compare(backend, jobs)
    torch.set_float32_matmul_precision("medium")  # nor for the user's settings
    try:
        compare(backend, jobs[:4])
    finally:
        torch.set_float32_matmul_precision("highest")
    assert graphs["unique_graphs"] - before == 2


def fit(backend, execution, seed):
    train = training(backend, optimizer=Adam(), execution=execution, batch_size=4, epochs=1, precision="float64")
    params = initial_params(MODEL, seed=seed, precision="float64")
    return lambda: backend.fit(MODEL, train, DATA, params=params)
