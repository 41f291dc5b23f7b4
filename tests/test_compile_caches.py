"""Loading a backend changes nothing in the process, and only what it compiles itself goes into its cache."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

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


def test_jax_keeps_our_compiled_code_and_not_the_users(cache):
    pytest.importorskip("flax")
    assert run(JAX) == 0
    kept = files(cache / "jax")
    assert [name.split("-")[0] for name in kept if not name.endswith("-atime")] == ["jit_scan_steps"]
    assert run(JAX) == 1
    assert [name for name in files(cache / "jax") if not name.endswith("-atime")] == kept


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


LOSSES = """
import json, os, warnings
from dataclasses import replace
from spec import ModelSpec, TaskSpec, TrainSpec, load_backend, presets

model = ModelSpec(numeric=2, trunk=(3,), tasks=(TaskSpec(name="a", kind="regression"),))
train = TrainSpec(batch_size=4, epochs=3, device="cpu", execution={execution!r})
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    losses = load_backend({name!r}).fit(model, train, presets.random_data(model, 6)).history.step_loss
ours = [str(warning.message) for warning in said if warning.category.__name__ == "CompileCacheWarning"]
print(json.dumps([losses.tolist(), ours]))
"""


def flip(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(("name", "execution"), [("torch", "step"), ("jax", "epoch")])
def test_what_is_damaged_is_compiled_anew(cache, name, execution):
    pytest.importorskip({"torch": "torch", "jax": "flax"}[name])
    code = LOSSES.format(name=name, execution=execution)
    losses, said = run(code)
    assert said == []
    kept = [path for path in sorted((cache / name).rglob("*")) if path.is_file() and path.stat().st_size]
    changed = [path for path in kept if not path.name.endswith("-atime")][::2]
    for i, path in enumerate(changed):
        content = path.read_bytes()
        path.write_bytes((flip(content), content[: len(content) // 2], b"")[i % 3])
    again, said = run(code)
    assert again == losses
    count, first = len(changed), changed[0].relative_to(cache / name)
    assert said == [
        f"compile cache {cache / name}: {count} damaged files are removed, among them {first}; they are made again"
    ]


def test_torch_compiles_where_its_cache_cannot_be_written(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "file").write_bytes(b"")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    code = LOSSES.format(name="torch", execution="step")
    losses, said = run(code, SHARED_BOTTOM_CACHE=tmp_path / "file", TMPDIR=temporary)
    assert len(losses) == 6
    assert len(said) == 1
    assert not list(temporary.glob("shared-bottom-*"))
