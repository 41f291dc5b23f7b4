"""A third backend is one new folder: a small one in NumPy, put into a copy of the project, is taken by everything.

The copy differs from the project by that folder alone. What runs in it runs in processes of their own.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from bench.results import read_run
from spec import SGD, Experiment, Schedule, TrainSpec, load_backend, to_toml
from spec.training import Execution
from tests.helpers.backends import BACKENDS
from tests.helpers.parity import LISTS, example_model

ROOT = Path(__file__).parents[1]
STAND_IN = ROOT / "tests" / "helpers" / "stand_in" / "numpy_eager"
NAME = STAND_IN.name
COPIED = ("spec", "backends", "shared_bottom", "bench", "tests", "pyproject.toml")
EXPERIMENT = Experiment(
    model=example_model("tied", categorical=LISTS, normalization="layer", dropout=0.1),
    train=TrainSpec(
        optimizer=SGD(learning_rate=0.05, momentum=0.9, weight_decay=1e-3),
        schedule=Schedule(kind="cosine", warmup_steps=3),
        clip_norm=1.0,
        batch_size=8,
        epochs=2,
    ),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The copy, with an experiment in it."""
    folder = tmp_path_factory.mktemp("third") / "project"
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    shutil.copytree(STAND_IN, folder / "backends" / NAME, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "small.toml").write_text(to_toml(EXPERIMENT))
    return folder


def run(project, *command, code=0):
    """What a Python command says in the copy, which comes before the project on the path."""
    environment = os.environ | {"PYTHONPATH": str(project), "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, cwd=project, env=environment, timeout=600
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_stand_in_is_no_backend_of_the_project():
    assert NAME not in BACKENDS


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_the_frameworks_have_everything_so_that_no_test_of_theirs_is_skipped(name):
    backend = load_backend(name)
    assert ("auto", *backend.costs) == get_args(Execution)
    assert "optimizers" not in vars(type(backend))
    assert "balancings" not in vars(type(backend))
    assert "embedding_updates" not in vars(type(backend))
    assert "sharings" not in vars(type(backend))
    assert "losses" not in vars(type(backend))


TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import spec
from spec import load_backend, presets, read_experiment

assert spec.__file__.startswith({project!r}), spec.__file__
experiment = read_experiment(Path("small.toml"))
model, train = experiment.model, replace(experiment.train, precision="float64", device="cpu")
data = presets.random_data(model, 40)
backend = load_backend({name!r})
fitted = backend.fit(model, train, data, validation=data, checkpoint="run", progress="none")
assert fitted.history.execution == "eager"
assert fitted.history.step_loss.shape == (10,)
loss, gradients = backend.gradients(model, fitted.params, data)
assert gradients.keys() == fitted.params.keys()
predictions = backend.predict(model, fitted.params, data)
assert predictions.keys() == {{task.name for task in model.tasks}}
again = backend.fit(model, train, data, validation=data, checkpoint="run", resume=True)
np.testing.assert_array_equal(again.history.step_loss, fitted.history.step_loss)
given = spec.TaskSpec(name="bought", kind="binary", given="click")
for change in (
    dict(sharing=spec.MMoE()),
    dict(tasks=(replace(model.tasks[1], loss=spec.Huber()),)),
    dict(tasks=(replace(model.tasks[0], loss=spec.LogLoss(focal_gamma=2.0)),)),
    dict(tasks=(model.tasks[0], given)),
):
    for ask in (backend.gradients, backend.predict):
        try:
            ask(replace(model, **change), fitted.params, data)
        except ValueError as error:
            print(error)
for change in (
    dict(optimizer=spec.Adam()),
    dict(balancing=spec.PCGrad()),
    dict(embedding_updates="lazy"),
    dict(execution="step"),
):
    try:
        backend.fit(model, replace(train, **change), data)
    except ValueError as error:
        print(error)
print(sorted({{"torch", "jax"}} & sys.modules.keys()))
"""


def test_it_trains_predicts_saves_and_says_what_it_has_not(project):
    said = run(project, "-W", "error", "-c", TRAIN.format(project=str(project), name=NAME)).splitlines()
    lacking = [
        f"sharing: expected one of shared_bottom, which backend '{NAME}' has, got 'mmoe'",
        f"loss of the task 'span': expected one of log_loss, squared, cross_entropy, which backend '{NAME}' has, "
        "got 'huber'",
        "loss of the task 'click': expected no options, got "
        "LogLoss(kind='log_loss', positive_weight=1.0, label_smoothing=0.0, focal_gamma=2.0)",
        "given: expected none for the task 'bought', got 'click'",
    ]
    assert said == [
        *(line for line in lacking for _ in range(2)),
        f"optimizer: expected one of sgd, which backend '{NAME}' has, got 'adam'",
        f"balancing: expected one of fixed, which backend '{NAME}' has, got 'pcgrad'",
        f"embedding_updates: expected one of dense, which backend '{NAME}' has, got 'lazy'",
        f"execution: expected one of auto, eager, which backend '{NAME}' has, got 'step'",
        "[]",
    ]


def test_where_there_is_no_extra_of_its_name_a_missing_package_is_named_alone(project):
    code = f"""
import sys
sys.modules["scipy.special"] = None
from spec import load_backend
try:
    load_backend({NAME!r})
except ImportError as error:
    print(error)
"""
    assert run(project, "-c", code) == f"backend '{NAME}' needs scipy.special, which is not installed\n"


def test_the_bench_takes_it(project):
    options = ("--case", "small.toml", "--steps", "2", "--repetitions", "1", "--json", "run.json")
    said = run(project, "-m", "bench", "--backend", NAME, *options)
    assert NAME in said
    bench = read_run("--json", project / "run.json")
    assert (bench.rows[0].process, bench.rows[0].backend, bench.rows[0].execution) == (NAME, NAME, "eager")
    assert bench.disagreeing() == []
    assert "scipy" in bench.machine.versions
    assert f"One of {', '.join(sorted([*BACKENDS, NAME]))}" in run(project, "-m", "bench", "--help")
    refused = run(project, "-m", "bench", "--backend", NAME, code=2)
    assert refused == f"error: optimizer: expected one of sgd, which backend '{NAME}' has, got 'adam'\n"


def test_the_bench_of_all_leaves_out_what_a_backend_has_not(project):
    """The tutorial's Adam is what it has not: the other backends are measured."""
    code = """
from bench.options import Options
from bench.run import prepare
print([plan.backend.name for plan in prepare(Options(case="small.toml"))])
print([plan.backend.name for plan in prepare(Options(case="tutorial"))])
"""
    lines = run(project, "-c", code).splitlines()
    assert lines[0] == str(sorted([*BACKENDS, NAME]))
    assert lines[1] == str(sorted(BACKENDS))
    assert lines[2].startswith("left out: optimizer: expected one of sgd")


@pytest.mark.parametrize("other", BACKENDS)
def test_the_parity_tool_takes_it(project, other):
    options = ("--backend", NAME, "--against", other, "--case", "small.toml", "--steps", "12")
    said = run(project, "-m", "bench.parity", *options)
    assert f"12 steps in float64, {NAME} against {other}" in said
    assert said.endswith("beyond 1e-09: nothing\n")


TESTS = (
    ("test_gradients_have_the_names_and_shapes", NAME),
    ("test_training_starts_from_the_specs_initial_parameters", NAME),
    ("test_predictions", "float64", NAME),
    ("test_logits_of_every_structure", "heads-float64"),
    ("test_gradients_of_every_kind", "[tied"),
    ("test_gradients_in_float32", NAME),
    ("test_gradients_are_the_slopes_of_the_plain_loss_and_zero", NAME),
    ("test_equal_largest_elements_share", NAME),
    ("test_the_run_is_that_of_one_backend[nesterov-11", NAME),
    ("test_predictions_and_metrics_after_training[tied", f"{NAME}-torch"),
    ("test_two_backends[sgd", NAME),
    ("test_the_curve_goes_on", NAME, "torch"),
    ("test_the_first_ten_steps_in_float32[SGD", f"{NAME}-torch"),
    ("test_the_backends_are_the_folders",),
    ("test_arrows_run_one_way",),
    ("test_a_backend_trains_where", NAME),
)
"""Parts of the names of a few tests: those of one or two backends have its name. Where JAX compiles for seconds,
PyTorch stands for both.
"""
LEFT_OUT = ("test_two_backends[adam-eager-eager", NAME)


def test_the_parity_tests_take_it(project):
    parts = ["initial", "forward", "gradients", "features", "handover", "metrics", "curves"]
    files = [*(f"tests/test_parity_{part}.py" for part in parts), "tests/test_imports.py"]
    chosen = " or ".join(f"({' and '.join(words)})" for words in (*TESTS, LEFT_OUT))
    said = run(project, "-m", "pytest", "-v", "-p", "no:cacheprovider", *files, "-k", chosen)
    outcomes = dict(re.findall(r"^(tests/\S+::.+?) (PASSED|SKIPPED|FAILED)", said, re.MULTILINE))
    for words in TESTS:
        assert {outcomes[test] for test in outcomes if all(word in test for word in words)} == {"PASSED"}, words
    assert {outcomes[test] for test in outcomes if all(word in test for word in LEFT_OUT)} == {"SKIPPED"}
    assert f"optimizer: expected one of sgd, which backend '{NAME}' has, got 'adam'" in said
