"""How many threads compute: few for a small network, as many as the caller says, and only for the time of a call."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from backends.costs import FEW_FLOPS, MANY_FLOPS
from shared_bottom import fit_table, load_checkpoint
from spec import CategoricalFeature, ModelSpec, TaskSpec, initial_params, load_backend, presets
from spec.flops import prediction_flops, step_flops
from spec.machine import cores
from tests.helpers.backends import installed
from tests.helpers.cli import EXPERIMENT, error, run, table
from tests.helpers.forged import other_json
from tests.helpers.runs import training

ROOT = Path(__file__).parents[1]
CALLS = ["fit", "predict", "gradients"]
MORE = len(cores()) + 1
"""More threads than there are cores: the environment may ask JAX for them."""


@pytest.fixture
def torch(monkeypatch):
    """PyTorch with three threads, on a machine of four cores."""
    torch = pytest.importorskip("torch")
    for module in ("spec.machine", "shared_bottom.run.plan", "backends.torch"):
        monkeypatch.setattr(f"{module}.cores", lambda: [0, 1, 2, 3])
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield torch
    torch.set_num_threads(before)


def call(name, model, data, **options):
    backend = load_backend("torch")
    if name == "fit":
        return backend.fit(model, training(backend), data, data, **options)
    if name == "predict":  # so many rows that there is something to divide
        data = data.take(np.resize(np.arange(data.rows), FEW_FLOPS // 8))
    return getattr(backend, name)(model, initial_params(model), data, **options)


def in_new_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_arithmetic_is_little_in_the_tutorial_and_on_census_income_and_much_in_wide_layers():
    tutorial, wide = presets.tutorial_model(), presets.wide_model()
    census = presets.census_model({f"column_{i}": 5 for i in range(31)})
    assert step_flops(tutorial, 32) < step_flops(census, 1024) < MANY_FLOPS < step_flops(wide, 4096)
    assert prediction_flops(tutorial, 7) == 2 * 7 * (10 * 64 + 64 * 32 + 32 * 16 + 16 * (32 + 32) + 32 * (3 + 2))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("many", "options", "number"), [(2e9, {}, 1), (0, {}, 3), (2e9, {"threads": 2}, 2)])
def test_torch_computes_with_one_thread_all_or_those_asked_for(
    torch, monkeypatch, model, data, name, many, options, number
):
    monkeypatch.setattr("backends.torch.MANY_FLOPS", many)
    inside = set()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: inside.add(torch.get_num_threads()))
    try:
        result = call(name, model, data, **options)
    finally:
        hook.remove()
    assert inside == {number}
    if name == "fit":
        assert result.history.threads == number
    assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 3


def test_a_row_is_predicted_without_a_change_of_threads(torch, monkeypatch, model, data):
    """To change them takes longer than to predict, and no operation of a row is divided."""
    predictor = load_backend("torch").predictor(model, initial_params(model), threads=2)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "set_num_threads", lambda number: pytest.fail("the number of threads was changed"))
        assert predictor.predict(data.take(slice(1)))["click"].shape == (1,)


def test_a_little_arithmetic_on_many_numbers_keeps_to_the_threads(torch):
    """Wide embeddings in front of a narrow trunk: to look them up and to join them is what several threads would do."""
    features = tuple(CategoricalFeature(name=f"column_{i}", vocabulary=9, dimension=64) for i in range(16))
    model = ModelSpec(numeric=0, categorical=features, trunk=(1,), tasks=(TaskSpec(name="click", kind="binary"),))
    assert prediction_flops(model, 120) < FEW_FLOPS
    inside = set()
    hook = torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: inside.add(torch.get_num_threads()))
    try:
        load_backend("torch").predict(model, initial_params(model), presets.random_data(model, 120), threads=1)
    finally:
        hook.remove()
    assert inside == {1}


@pytest.mark.parametrize("name", CALLS)
def test_torch_has_the_users_threads_again_after_an_error(torch, model, data, name):
    def fail(*_):
        raise ZeroDivisionError

    hook = torch.nn.modules.module.register_module_forward_pre_hook(fail)
    try:
        with pytest.raises(ZeroDivisionError):
            call(name, model, data, threads=2)
    finally:
        hook.remove()
    assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 3


def test_each_thread_that_computes_has_a_number_for_itself(torch):
    """Also one that meets PyTorch for the first time while another one computes."""
    backend, together = load_backend("torch"), Barrier(2, timeout=30)

    def work(number):
        together.wait()
        with backend.computing(number, 0) as said:
            together.wait()
            inside = torch.get_num_threads()
            beside = in_new_thread(torch.get_num_threads)
            together.wait()
        together.wait()
        return said, inside, beside, torch.get_num_threads()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, [1, 2])) == [(1, 1, 3, 3), (2, 2, 3, 3)]
    assert torch.get_num_threads() == in_new_thread(torch.get_num_threads) == 3


@pytest.mark.parametrize("threads", [0, -1, 10**6, True, 1.0, "2"])
@pytest.mark.parametrize("name", CALLS)
def test_a_number_of_threads_that_cannot_be_is_refused(backend, model, data, name, threads):
    params = initial_params(model)
    arguments = (model, training(backend), data) if name == "fit" else (model, params, data)
    with pytest.raises(ValueError, match=r"^threads: expected 1 to \d+, the cores .*, got ") as caught:
        getattr(backend, name)(*arguments, threads=threads)
    assert str(caught.value).endswith(f"got {threads!r}")


def test_a_resumed_run_keeps_its_threads_unless_it_is_told_otherwise(torch, monkeypatch, model, data, tmp_path):
    backend = load_backend("torch")

    def fit(epochs, **options):
        train = training(backend, epochs=epochs)
        return backend.fit(model, train, data, data, checkpoint=tmp_path, resume=True, **options).history.threads

    assert fit(1, threads=2) == 2
    assert fit(2) == 2
    assert load_checkpoint(tmp_path).history.threads == 2
    assert fit(3, threads=1) == 1
    assert fit(4, threads=4) == 4
    monkeypatch.setattr("shared_bottom.run.plan.cores", lambda: [0, 1])
    assert fit(5) == 2  # as many as there are


def test_a_checkpoint_that_takes_no_note_of_threads_is_read(torch, model, data, tmp_path):
    call("fit", model, data, checkpoint=tmp_path, threads=2)
    other_json(lambda fields: fields.pop("threads"))(next(tmp_path.glob("step-*6")))
    assert load_checkpoint(tmp_path).history.threads is None
    assert call("fit", model, data, checkpoint=tmp_path, resume=True).history.threads == 1


def test_the_threads_of_a_table_s_network_predict_too(torch, monkeypatch):
    trained = fit_table(EXPERIMENT, table(60), backend="torch", threads=2)
    assert (trained.threads, trained.history.threads) == (2, 2)
    asked, predictor = [], load_backend("torch").predictor
    monkeypatch.setattr(
        load_backend("torch"), "predictor", lambda *a, **o: asked.append(o["threads"]) or predictor(*a, **o)
    )
    trained.predict(table(5))
    trained.evaluate(table(5))
    assert asked == [2]  # the network is built once


@pytest.mark.slow
def test_the_commands_take_the_number_of_threads(torch, file, tmp_path, capsys):
    out, flags = tmp_path / "run", ("--backend", "torch", "--threads", 2)
    run("fit", file, "--out", out, "--train.execution", "eager", *flags)
    assert "eager on the cpu, threads: 2" in capsys.readouterr().out
    run("evaluate", out, *flags)
    run("predict", out, file.parent / "test.parquet", "--out", tmp_path / "predictions.csv", *flags)
    said = "threads: expected 1 to 4, the cores that this process may use, got 5"
    test = file.parent / "test.parquet"
    for command in (("fit", file, "--out", out), ("evaluate", out), ("predict", out, test, "--out", out / "p.csv")):
        assert error(capsys, *command, "--threads", 5) == said


@pytest.mark.slow
def test_torch_compiles_once_for_each_number_of_threads(torch, model, data):
    backend = load_backend("torch")
    graphs = torch._dynamo.utils.counters["stats"]
    before = graphs["unique_graphs"]
    train = training(backend, execution="step")
    for threads in (1, 2, 1, 2, 1):
        backend.fit(model, train, data, threads=threads)
    assert graphs["unique_graphs"] - before == 2


JAX = """
import json, os, sys
import jax
from dataclasses import replace
from spec import load_backend, presets

def said(**options):
    model, train = presets.tutorial_model(), replace(presets.tutorial_training(), epochs=1, device="cpu")
    data = presets.tutorial_data(64)
    try:
        return load_backend("jax").fit(model, train, data, data, **options).history.threads
    except ValueError as error:
        return str(error)

before = dict(os.environ), dict(jax.config.values)
answers = [said(**options) for options in json.loads(sys.argv[1])]
assert before == (dict(os.environ), dict(jax.config.values))
tasks = "/proc/self/task"
names = [open(f"{tasks}/{task}/comm").read().strip() for task in os.listdir(tasks)] if os.path.exists(tasks) else []
print(json.dumps([answers, names.count("tf_XLAEigen")]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "options", "expected"),
    [
        ({}, [{"threads": 1}, {}, {"threads": 1}], [1, 1, 1]),
        ({"PJRT_NPROC": f"{MORE}"}, [{}, {"threads": MORE}], [MORE, MORE]),
        (
            {"PJRT_NPROC": "3"},
            [{}, {"threads": 1}],
            [3, "threads: expected 3, which JAX has started with and keeps until the process ends, got 1"],
        ),
    ],
    ids=["first call", "environment", "too late"],
)
def test_jax_keeps_the_threads_that_it_starts_with(environment, options, expected):
    installed("jax")
    done = subprocess.run(
        [sys.executable, "-c", JAX, json.dumps(options)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    answers, threads = json.loads(done.stdout)
    assert answers == expected
    assert threads in (0, expected[0])  # 0 where the system does not tell
