"""The bench as a command."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.results import read_run
from spec import Experiment, ModelSpec, Schedule, TaskSpec, TrainSpec, to_toml

QUICK = ["--repetitions", "1"]
SMALL = Experiment(
    model=ModelSpec(
        numeric=3,
        trunk=(4,),
        tasks=(
            TaskSpec(name="click", kind="binary", hidden=(4,)),
            TaskSpec(name="region", kind="multiclass", outputs=3, weight=0.5),
            TaskSpec(name="span", kind="regression"),
        ),
    ),
    train=TrainSpec(clip_norm=0.1, schedule=Schedule(kind="linear")),
)
"""Every kind of task, and what a loop by hand may forget."""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.toml"
    path.write_text(to_toml(SMALL))
    return path


def bench(*arguments, code=None, **variables):
    """Run the command, or `code` in its place; a variable that is None is taken out of its environment."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "bench"]), *map(str, arguments)]
    environment = {name: value for name, value in (os.environ | {"COLUMNS": "100"} | variables).items() if value}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def measured(tmp_path, *arguments, code=None, **variables):
    """The run that a command wrote, its output and its picture looked at."""
    outputs = ["--json", tmp_path / "run.json", "--plot", tmp_path / "run.png"]
    done = bench(*arguments, *QUICK, *outputs, code=code, **variables)
    assert done.returncode == 0, done.stderr
    assert all(len(line.rstrip()) <= 100 for line in done.stdout.splitlines())
    run = read_run("--json", tmp_path / "run.json")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert run.disagreeing() == []
    assert not run.interrupted
    for row in run.rows:
        assert len(row.step_microseconds) == 1
        assert min(row.step_microseconds) > 0
        assert row.first_call_seconds > 0
        assert row.execution in done.stdout
        assert row.host_bytes > 50e6 if sys.platform == "linux" else row.host_bytes is None
    return run, done.stdout


def trained_by(run):
    return [(row.process, row.backend, row.execution) for row in run.rows if not row.execution.startswith("Keras")]


def test_the_tutorial_in_every_execution_of_jax(tmp_path):
    run, said = measured(tmp_path, "--backend", "jax")
    loop = ("jax", "torch", "tutorial's loop")
    assert trained_by(run) == [*(("jax", "jax", execution) for execution in ("eager", "step", "epoch")), loop]
    keras = {row.execution for row in run.rows if row.execution.startswith("Keras")}
    assert keras == ({"Keras, 1 a call", "Keras, 16 a call", "Keras, 128 a call"} if find_spec("keras") else set())
    assert {row.steps for row in run.rows} == {32}
    assert [row.loss for row in run.rows] == pytest.approx([run.rows[0].loss] * len(run.rows), rel=1e-4)
    assert "what auto takes: 100 epoch" in said
    assert run.matmul_gflops["jax"][0] > 0


def test_both_backends_each_in_its_process(tmp_path, small):
    run, _ = measured(tmp_path, "--execution", "eager", "--steps", "3", "--case", small)
    assert trained_by(run) == [
        ("jax", "jax", "eager"),
        ("jax", "torch", "plain loop"),
        ("torch", "torch", "eager"),
        ("torch", "torch", "plain loop"),
    ]
    assert {row.steps for row in run.rows} == {3}


@pytest.mark.parametrize(("case", "variants"), [("tasks", 7), ("batch", 6)])
def test_a_family(tmp_path, case, variants):
    run, said = measured(tmp_path, "--backend", "jax", "--execution", "epoch", "--case", case, "--steps", "8")
    assert len(run.rows) == 2 * variants
    assert all(row.variant in said for row in run.rows)


GROWN = """
import bench.__main__ as main, bench.scale as scale
scale.VOCABULARIES, scale.DENSE_UP_TO, scale.DRAWN_STEPS = (1_000, 2_000, 3_000), 2_000, 16
scale.ROWS, scale.BLOCK = (9_000, 12_000), 5_000
main.main()
"""
"""The command with sizes that take seconds."""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_dense_and_lazy_updates_of_growing_vocabularies(tmp_path, backend):
    execution = {"jax": "epoch", "torch": "eager"}[backend]
    options = ["--backend", backend, "--execution", execution, "--case", "vocabulary", "--steps", "8"]
    run, said = measured(tmp_path, *options, code=GROWN)
    assert [(row.execution, row.way, row.variant) for row in run.rows] == [
        (execution, "dense", "1,000 ids"),
        (execution, "lazy", "1,000 ids"),
        ("sparse loop", "lazy", "1,000 ids"),
        (execution, "dense", "2,000 ids"),
        (execution, "lazy", "2,000 ids"),
        ("sparse loop", "lazy", "2,000 ids"),
        (execution, "lazy", "3,000 ids"),
        ("sparse loop", "lazy", "3,000 ids"),
    ]
    assert "× dense" in said
    assert "Left out: dense updates of more than 2,000 ids" in said


def test_rows_in_memory_and_mapped(tmp_path):
    options = ["--backend", "jax", "--case", "rows", "--steps", "8"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    run, said = measured(tmp_path, *options, code=GROWN, TMPDIR=str(temporary))
    of_one_size = [("epoch", "memory"), ("sparse loop", "memory"), ("epoch", "mapped")]
    assert [(row.execution, row.way) for row in run.rows] == of_one_size * 2
    assert run.rows[0].loss == run.rows[2].loss
    assert "× memory" in said
    assert "Left out: jax eager, unless --execution asks for it.\nLeft out: jax step, unless" in said
    assert list(temporary.rglob("*.npy")) == []


def test_rows_that_cannot_be_written_are_one_line_and_exit_code_2(tmp_path):
    full = "import bench.scale as scale\nscale.tempfile = type('Full', (), {'mkdtemp': lambda prefix: '/dev/null'})\n"
    done = bench("--backend", "torch", "--execution", "eager", "--case", "rows", *QUICK, code=full + GROWN)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: /dev/null/numeric.npy: Not a directory")


def test_wide(tmp_path):
    run, _ = measured(tmp_path, "--backend", "torch", "--execution", "eager", "--case", "wide", "--steps", "1")
    assert trained_by(run) == [("torch", "torch", "eager"), ("torch", "torch", "plain loop")]


def test_census_without_files_says_that_its_rows_are_synthetic(tmp_path):
    code = (
        "import bench.cases as cases, bench.__main__ as main\n"
        "synthetic = cases.census_income.synthetic\n"
        "cases.census_income.synthetic = lambda rows: synthetic(rows // 10)\n"
        "main.main()"
    )
    options = ["--backend", "jax", "--execution", "epoch", "--case", "census", "--steps", "2"]
    run, said = measured(tmp_path, *options, code=code)
    assert "synthetic rows" in said
    assert set(run.metrics["jax"]) == {"income", "never_married"}


@pytest.mark.parametrize("cold", [True, False])
def test_compile_caches_are_kept_where_the_user_has_them_or_thrown_away(tmp_path, small, cold):
    cache = tmp_path / "cache"
    variables = {"SHARED_BOTTOM_CACHE": str(cache), "JAX_COMPILATION_CACHE_DIR": None, "TORCHINDUCTOR_CACHE_DIR": None}
    arguments = ["--backend", "jax", "--execution", "epoch", "--case", small, *["--cold"][:cold]]
    run, said = measured(tmp_path, *arguments, **variables)
    assert ("Cold: compile caches on disk were empty." in said) is cold
    assert run.caches == ("cold" if cold else str(cache))
    assert cache.exists() is not cold
    assert cold or list((cache / "jax").iterdir())


@pytest.fixture(scope="module")
def earlier(tmp_path_factory, small):
    """The JSON of a run of `small`."""
    path = tmp_path_factory.mktemp("earlier") / "run.json"
    assert bench("--backend", "torch", "--execution", "eager", "--case", small, *QUICK, "--json", path).returncode == 0
    return path


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1e-3, 1)])
def test_a_run_is_compared_with_an_earlier_one(tmp_path, small, earlier, factor, code):
    old = json.loads(earlier.read_text())
    for row in old["rows"]:
        row["step_microseconds"] = [value * factor for value in row["step_microseconds"]]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    arguments = ["--backend", "torch", "--execution", "eager", "--case", small, *QUICK]
    done = bench(*arguments, "--compare", path, "--tolerance", "20")
    assert done.returncode == code, done.stdout
    assert ("slower than allowed" in done.stdout) == (code == 1)


def test_a_run_of_another_case_is_not_compared(small, earlier):
    done = bench("--case", "tasks", "--compare", earlier)
    assert done.returncode == 2
    expected = "error: --compare: expected a run of case tasks with threads 1, got one of"
    assert done.stderr == f"{expected} {small} with 1\n"


def test_rows_that_disagree_are_marked_and_the_exit_code_is_1(small):
    code = (
        "import bench.references as references, bench.__main__ as main\n"
        "task_loss = references.task_loss\n"
        "references.task_loss = lambda *arguments: 2 * task_loss(*arguments)\n"
        "main.main()"
    )
    arguments = ["--backend", "torch", "--execution", "eager", "--case", small, *QUICK]
    done = bench(*arguments, code=code)
    assert done.returncode == 1, done.stderr
    assert "≠" in done.stdout


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
    done = bench("--case", small, code=code)
    assert done.returncode == 2
    assert done.stderr.startswith("error: backend 'jax' needs flax")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backend", "numpy"], "--backend: expected one of jax, torch, all, got 'numpy'"),
        (["--threads", "0"], "--threads: expected 1 to"),
        (["--steps", "0"], "--steps: expected 1 or more, got 0"),
        (["--steps", "33", "--backend", "jax"], "--steps: expected 1 to 32, the steps of an epoch of tutorial, got 33"),
        (["--processes", "1,two"], "--processes: expected different numbers above 0, separated by commas, got '1,two'"),
        (
            ["--processes", "1,2", "--backend", "jax", "--execution", "eager"],
            "execution: expected one of auto, step, epoch, which backend 'jax' has where 2 devices share each batch",
        ),
        (["--repetitions", "0"], "--repetitions: expected 1 or more, got 0"),
        (["--tolerance", "-1"], "--tolerance: expected a finite number of 0 or more, got -1.0"),
        (["--case", "census", "--data-dir", "nowhere"], "--data-dir: expected a folder, got 'nowhere'"),
        (["--data-dir", "."], "--data-dir: expected none with --case tutorial"),
        (
            ["--case", "narrow"],
            "--case: expected one of tutorial, census, wide, tasks, batch, vocabulary, rows or a FILE.toml, got",
        ),
        (["--case", "nowhere.toml"], "--case: expected a file that can be read, got 'nowhere.toml': No such file"),
        (["--case", "pyproject.toml"], "pyproject.toml: model: expected a value, got none"),
        (["--json", "."], "--json: expected a file in a folder that can be written"),
        (["--plot", "nowhere/run.png"], "--plot: expected a file in a folder that can be written"),
        (["--compare", "nowhere.json"], "--compare: expected the JSON of a run, got 'nowhere.json'"),
        (["--device", "gpu", "--backend", "jax"], "device: expected 'cpu' or 'auto', got 'gpu'"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(arguments, said):
    if "gpu" in arguments and Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    done = bench(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["--execution", "fast"], ["--device", "tpu"], ["--threads", "one"], ["--epochs"]]
)
def test_an_option_that_does_not_parse_is_one_line_and_exit_code_2(arguments):
    done = bench(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert arguments[0] in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_help_explains_every_option():
    done = bench("--help")
    assert done.returncode == 0
    options = "backend case execution device threads processes steps repetitions data-dir cold json plot compare"
    for option in [*options.split(), "tolerance"]:
        assert f"--{option}" in done.stdout
