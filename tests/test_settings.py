"""What a backend changes in the process holds for the time of a call: products in full float32, compile caches."""

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from backends.settings import WhileComputing
from spec import initial_params, load_backend
from tests.helpers.runs import training

ROOT = Path(__file__).parents[1]


def run(code, **variables):
    """What `code` prints as JSON in a fresh interpreter with these environment variables; None: without."""
    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR")
    environment = {**os.environ, **dict.fromkeys(names), **variables}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        env={name: str(value) for name, value in environment.items() if value is not None},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_first_to_enter_makes_the_change_and_the_last_to_leave_undoes_it():
    said = []

    def change():
        said.append("changed")
        return lambda: said.append("undone")

    setting = WhileComputing(change)
    for _ in range(2):
        with setting:
            with contextlib.suppress(KeyError), setting:
                raise KeyError
            assert said == ["changed"]
        assert said == ["changed", "undone"]
        said.clear()


USERS = {
    "nothing": lambda torch: None,
    "highest": lambda torch: torch.set_float32_matmul_precision("highest"),
    "high": lambda torch: torch.set_float32_matmul_precision("high"),
    "medium": lambda torch: torch.set_float32_matmul_precision("medium"),
    "allow_tf32": lambda torch: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "all backends": lambda torch: setattr(torch.backends, "fp32_precision", "tf32"),
    "a GPU's products": lambda torch: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "a CPU's products": lambda torch: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
}
"""Each way in which a user of PyTorch can ask for less."""


@pytest.fixture
def torch():
    """PyTorch with the settings that a new process has, before the test and after it."""
    torch = pytest.importorskip("torch")

    def reset():
        torch.set_float32_matmul_precision("highest")
        for setting in (torch.backends, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul):
            setting.fp32_precision = "none"

    reset()
    yield torch
    reset()


def precision(torch):
    """All settings; a setting that PyTorch refuses to read, because another one contradicts it, is its message."""
    backends = torch.backends
    settings = (backends, backends.cudnn, backends.cuda.matmul, backends.mkldnn, backends.mkldnn.matmul)
    read = [setting.fp32_precision for setting in settings]
    for of_all in (torch.get_float32_matmul_precision, lambda: backends.cuda.matmul.allow_tf32):
        try:
            read.append(of_all())
        except RuntimeError as error:
            read.append(str(error))
    return read


def calls(backend, model, data):
    params = initial_params(model)
    return {
        "fit": lambda: backend.fit(model, training(backend), data),
        "predict": lambda: backend.predict(model, params, data),
        "gradients": lambda: backend.gradients(model, params, data),
    }


@pytest.mark.parametrize("users", USERS)
@pytest.mark.parametrize("call", ["fit", "predict", "gradients"])
def test_torch_multiplies_in_full_float32_while_it_computes(torch, model, data, call, users):
    USERS[users](torch)
    before, inside = precision(torch), []

    def hook(module, inputs):
        inside.append(precision(torch))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
    try:
        calls(load_backend("torch"), model, data)[call]()
    finally:
        handle.remove()
    assert inside
    for settings in inside:
        assert settings[2::2] == ["ieee", "ieee", False]
        assert settings[5] == "highest"
    assert precision(torch) == before
    if users in ("nothing", "all backends"):  # where a library's setting followed that of all, it does so again
        torch.backends.fp32_precision = "tf32"
        assert precision(torch)[:5] == ["tf32"] * 5
        torch.backends.fp32_precision = "none"
        assert precision(torch)[:5] == ["none"] * 5


@pytest.mark.parametrize("call", ["fit", "predict", "gradients"])
def test_torch_has_the_users_precision_again_after_an_error(torch, model, data, call):
    torch.set_float32_matmul_precision("medium")
    before = precision(torch)

    def hook(module, inputs):
        raise ZeroDivisionError

    handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
    try:
        with pytest.raises(ZeroDivisionError):
            calls(load_backend("torch"), model, data)[call]()
    finally:
        handle.remove()
    assert precision(torch) == before


STATE = """
import json, os
import numpy, {framework}

def state():
    settings = {settings}
    return [dict(os.environ), {{name: str(value) for name, value in settings.items()}}]

before = state()
from spec import load_backend
load_backend({name!r})
print(json.dumps([before, state()]))
"""
SETTINGS = {
    "jax": "jax.config.values",
    "torch": """{name: getattr(torch, name)() for name in (
        "get_default_dtype", "get_float32_matmul_precision", "get_num_threads", "is_grad_enabled",
        "are_deterministic_algorithms_enabled", "get_default_device")}""",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_loading_a_backend_changes_nothing_in_the_process(name):
    framework = {"jax": "flax, jax, optax", "torch": "torch"}[name]
    before, after = run(STATE.format(framework=framework, settings=SETTINGS[name], name=name))
    assert after == before


FIT = """
import json, os
from dataclasses import replace
from spec import ModelSpec, TaskSpec, TrainSpec, load_backend, presets

def fit(name, execution):
    model = ModelSpec(numeric=2, trunk=(3,), tasks=(TaskSpec(name="a", kind="regression"),))
    train = TrainSpec(batch_size=4, epochs=1, precision="float64", device="cpu", execution=execution)
    load_backend(name).fit(model, train, presets.random_data(model, 6))

"""
JAX = (
    FIT
    + """
import jax

hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # what the user compiles would be kept
before = dict(jax.config.values)
jax.jit(lambda x: x + 1)(1.0)
fit("jax", "epoch")
assert jax.config.values == before
jax.jit(lambda x: x + 2)(1.0)
print(json.dumps(hits.count("/jax/compilation_cache/cache_hits")))
"""
)


@pytest.mark.slow
def test_jax_keeps_our_compiled_code_and_not_the_users(cache):
    pytest.importorskip("flax")
    assert run(JAX) == 0
    kept = files(cache / "jax")
    assert [name.split("-")[0] for name in kept if not name.endswith("-atime")] == ["jit_scan_steps"]
    assert run(JAX) == 1
    assert [name for name in files(cache / "jax") if not name.endswith("-atime")] == kept


@pytest.mark.slow
def test_jax_keeps_all_where_the_user_says(cache, tmp_path):
    pytest.importorskip("flax")
    users = tmp_path / "users"
    run(JAX, JAX_COMPILATION_CACHE_DIR=users)
    assert {name.split("-")[0] for name in files(users)} >= {"jit_scan_steps", "jit__lambda"}
    assert not (cache / "jax").exists()


TORCH = (
    FIT
    + """
import torch
from torch._dynamo.utils import counters
from torch._inductor.runtime.cache_dir_utils import cache_dir

def ours():
    folder = os.path.join(os.environ["SHARED_BOTTOM_CACHE"], "torch")
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)

users = cache_dir()  # as PyTorch does before it compiles something of the user's: it sets the variable
fit("torch", "step")
kept = ours()
assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == users and "TRITON_CACHE_DIR" not in os.environ
hits = counters["inductor"]["fxgraph_cache_hit"]
if not hits:
    torch.compile(lambda x: x * 2 + 1)(torch.ones(3))
print(json.dumps([kept, ours(), hits]))
"""
)


@pytest.mark.slow
def test_torch_keeps_our_compiled_code_and_not_the_users(cache, tmp_path):
    pytest.importorskip("torch")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    kept, after, hits = run(TORCH, TMPDIR=temporary)
    assert hits == 0
    assert kept
    assert after == kept
    assert files(temporary)
    assert run(TORCH, TMPDIR=temporary) == [kept, kept, 1]


def test_torch_keeps_all_where_the_user_says(cache, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from backends.torch.settings import COMPILE_CACHE

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with COMPILE_CACHE:
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path)


def test_what_torch_sets_for_a_gpu_while_it_compiles_for_us_is_gone_afterwards(monkeypatch):
    pytest.importorskip("torch")
    from backends.torch.settings import COMPILE_CACHE

    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    with COMPILE_CACHE:
        os.environ["TRITON_CACHE_DIR"] = f"{os.environ['TORCHINDUCTOR_CACHE_DIR']}/triton/0"
    assert not {"TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"} & os.environ.keys()
