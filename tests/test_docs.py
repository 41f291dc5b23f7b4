"""Every command and every block of code in README and docs runs, on a copy of the project.

What would take minutes runs shortened, which SHORTENED says of each command: fewer seeds, steps, repetitions. What
needs other machines stands in blocks of `bash`, and is not run.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tyro
from pydantic import TypeAdapter

from bench.options import Options, check
from spec import NetworkSpec, TrainSpec

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUICK = ("--train.epochs", "1")
ONE_SEED = ("--seeds", "1", "--gradient-rows", "64")

SHORTENED: dict[str, tuple[str, ...]] = {
    "python -m bench.sharing examples/clicks.toml --backend jax --seeds 3": ONE_SEED,
    "python -m bench.sharing examples/clicks.toml --backend jax --ways shared_bottom,separate,mmoe,ple": ONE_SEED,
    "python examples/related_tasks.py --backend jax": ("--steps", "100"),
    "python -m bench.related --backend jax": ("--seeds", "1", "--steps", "20"),
    "python -m bench.related --backend torch --correlations 0,0.5": ("--seeds", "1", "--steps", "20"),
    "python examples/search.py --backend jax --trials 50": ("--trials", "1"),
    "python examples/cross_validate.py --backend jax --folds 5": ("--folds", "2"),
    "python -m shared_bottom fit examples/clicks.toml --backend jax --out runs/clicks": QUICK,
    "python -m shared_bottom fit examples/clicks.toml --backend jax --out runs/balanced "
    "--train.balancing.kind uncertainty --quiet": QUICK,
    "python -m shared_bottom launch -n 2 fit examples/clicks.toml --backend jax --out runs/two": QUICK,
    "torchrun --nproc-per-node 2 -m shared_bottom fit examples/clicks.toml --backend torch --out runs/torchrun": QUICK,
    "env XLA_FLAGS=--xla_force_host_platform_device_count=4 "
    "python -m shared_bottom fit examples/clicks.toml --backend jax --out runs/four": QUICK,
}
"""By command, what is put behind it."""
ELSEWHERE = {f"make {goal}": f"make -n {goal}" for goal in ("bench", "quick", "test", "lint", "setup")}
"""What would install an environment of its own: that make knows how."""
CASES = ("tutorial", "census", "wide", "tasks", "batch", "vocabulary", "rows")
LONG = {f"python -m bench --backend all --case {case}" for case in CASES} | {
    "python -m bench --backend jax",
    "python -m bench --backend all --case census --processes 1,2",
    "python -m bench --backend all --case tutorial --processes 1,2",
    "python -m bench --backend all --case batch --execution epoch --processes 1,2",
    "python -m bench --backend all --case tutorial --cold",
    "python -m bench --backend all --case census --data-dir census-income",
    "python -m bench --backend all --case census --data-dir census-income --cold --execution epoch",
}
"""Minutes each, and the real files are no part of the project. The bench has tests of its own."""


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page):
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [" ".join(shlex.split(line, comments=True)) for line in lines if shlex.split(line, comments=True)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy without what is no part of a clone, with the tutorial's tables; the pages' commands follow one another."""
    copy = tmp_path_factory.mktemp("clone") / "project"
    ignored = shutil.ignore_patterns(".*", "*.parquet", "runs", "__pycache__", "*.egg-info", "tests")
    shutil.copytree(ROOT, copy, ignore=ignored)
    assert run(copy, [sys.executable, "examples/clicks.py"]).returncode == 0
    return copy


def run(project, command):
    environment = os.environ | {
        "PYTHONPATH": str(project),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(command, capture_output=True, text=True, cwd=project, env=environment)


@pytest.fixture(scope="module")
def once(project):
    """Runs a command the first time that a page has it; what it leaves behind is there for the others."""
    return functools.cache(lambda words: run(project, list(words)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_runs(project, once, page):
    for command in commands(page):
        if command not in LONG:
            words = (*shlex.split(ELSEWHERE.get(command, command)), *SHORTENED.get(command, ()))
            done = once(words)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("command", sorted(LONG))
def test_what_takes_minutes_is_a_command_of_the_bench(command, tmp_path, monkeypatch):
    """Its options are right where the folder of the real files, if it names one, is there."""
    assert command in {command for page in PAGES for command in commands(page)}
    options = tyro.cli(Options, args=shlex.split(command)[3:])
    monkeypatch.chdir(tmp_path)
    if options.data_dir is not None:
        with pytest.raises(ValueError, match="--data-dir: expected a folder, got 'census-income'"):
            check(options)
        options.data_dir.mkdir()
    check(options)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_every_block_of_code_runs(project, page):
    """All of a page's blocks as one program, one after the other, as a reader would type them."""
    if "examples/" in "".join(blocks(page, "python")):
        assert run(project, [sys.executable, "examples/clicks.py"]).returncode == 0
    done = run(project, [sys.executable, "-W", "error", "-c", "\n".join(blocks(page, "python"))])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=lambda page: page.name)
def test_every_block_of_toml_is_part_of_an_experiment(page):
    """What a block leaves out, such as the trunk, is filled in."""
    for block in blocks(page, "toml"):
        tables = tomllib.loads(block)
        TypeAdapter(NetworkSpec).validate_python({"trunk": [1]} | tables.get("model", {}))
        TypeAdapter(TrainSpec).validate_python(tables.get("train", {}))


def test_the_frame_of_the_readme_may_be_one_of_polars(project):
    (code,) = [block for block in blocks(ROOT / "README.md", "python") if "import pandas\n" in block]
    assert run(project, [sys.executable, "examples/clicks.py"]).returncode == 0
    done = run(project, [sys.executable, "-W", "error", "-c", code.replace("import pandas", "import polars as pandas")])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_console_shows_is_what_is_said(project, page):
    for block in blocks(page, "console"):
        command, *expected = block.splitlines()
        done = run(project, shlex.split(command.removeprefix("$ ")))
        assert (done.stdout + done.stderr).splitlines() == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+?)\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_is_two_screens_at_most():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100
