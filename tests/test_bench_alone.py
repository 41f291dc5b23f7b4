"""The bench in processes of its own: everything that it starts, keeps on disk or is told by signals."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

from bench.results import read_run
from spec import to_toml
from tests.helpers.bench_command import SMALL, alone, measured, trained_by


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.toml"
    path.write_text(to_toml(SMALL))
    return path


def test_the_tutorial_in_every_execution_of_jax(tmp_path):
    run, said = measured(alone, tmp_path, "--backend", "jax")
    loop = ("jax", "torch", "tutorial's loop")
    assert trained_by(run) == [*(("jax", "jax", execution) for execution in ("eager", "step", "epoch")), loop]
    keras = {row.execution for row in run.rows if row.execution.startswith("Keras")}
    assert keras == ({"Keras, 1 a call", "Keras, 16 a call", "Keras, 128 a call"} if find_spec("keras") else set())
    assert {row.steps for row in run.rows} == {32}
    assert [row.loss for row in run.rows] == pytest.approx([run.rows[0].loss] * len(run.rows), rel=1e-4)
    assert "what auto takes: 100 epoch" in said
    assert run.matmul_gflops["jax"][0] > 0


def test_both_backends_each_in_its_process(tmp_path, small):
    run, _ = measured(alone, tmp_path, "--execution", "eager", "--steps", "3", "--case", small)
    assert trained_by(run) == [
        ("jax", "jax", "eager"),
        ("jax", "torch", "plain loop"),
        ("torch", "torch", "eager"),
        ("torch", "torch", "plain loop"),
    ]
    assert {row.steps for row in run.rows} == {3}


def test_census_without_files_says_that_its_rows_are_synthetic(tmp_path):
    code = (
        "import bench.cases as cases, bench.__main__ as main\n"
        "synthetic = cases.census_income.synthetic\n"
        "cases.census_income.synthetic = lambda rows: synthetic(rows // 10)\n"
        "main.main()"
    )
    options = ["--backend", "jax", "--execution", "epoch", "--case", "census", "--steps", "2"]
    run, said = measured(alone, tmp_path, *options, code=code)
    assert "synthetic rows" in said
    assert set(run.metrics["jax"]) == {"income", "never_married"}


@pytest.mark.parametrize("cold", [True, False])
def test_compile_caches_are_kept_where_the_user_has_them_or_thrown_away(tmp_path, small, cold):
    cache = tmp_path / "cache"
    variables = {"SHARED_BOTTOM_CACHE": str(cache), "JAX_COMPILATION_CACHE_DIR": None, "TORCHINDUCTOR_CACHE_DIR": None}
    arguments = ["--backend", "jax", "--execution", "epoch", "--case", small, *["--cold"][:cold]]
    run, said = measured(alone, tmp_path, *arguments, **variables)
    assert ("Cold: compile caches on disk were empty." in said) is cold
    assert run.caches == ("cold" if cold else str(cache))
    assert cache.exists() is not cold
    assert cold or list((cache / "jax").iterdir())


@pytest.mark.parametrize(
    ("backend", "line", "everyone"),
    [("jax", "jax: repetition 2", False), ("all", "jax: repetition 2", True), ("all", "torch: epoch", True)],
)
def test_ctrl_c_shows_what_was_measured(tmp_path, small, backend, line, everyone):
    """everyone: as a terminal does, the signal goes to all processes in front."""
    repetitions = "2" if line.startswith("torch") else "1000"
    command = [sys.executable, "-m", "bench", "--backend", backend, "--execution", "epoch", "--case", str(small)]
    command += ["--repetitions", repetitions, "--json", str(tmp_path / "run.json")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for said in process.stderr:
        if line in said:
            (os.killpg if everyone else os.kill)(process.pid, signal.SIGINT)
            break
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted: what was measured so far." in said
    run = read_run("--json", tmp_path / "run.json")
    assert run.interrupted
    assert all(row.step_microseconds for row in run.rows if row.process == "jax")


def test_a_missing_framework_is_said_before_anything_is_built(small):
    code = "import sys; sys.modules['flax'] = None\nimport bench.__main__ as main; main.main()"
    done = alone("--case", small, code=code)
    assert done.code == 2
    assert done.err.startswith("error: backend 'jax' needs flax")
    assert done.out == ""
