"""The options of the bench: what they may be, and what is said of those that are wrong."""

from pathlib import Path

import pytest

from tests.helpers.bench_command import in_this_process


@pytest.fixture
def bench(monkeypatch, capsys):
    return in_this_process(monkeypatch, capsys)


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
        (["--case", "pyproject.toml"], "pyproject.toml: build-system: unexpected field, got"),
        (["--json", "."], "--json: expected a file in a folder that can be written"),
        (["--plot", "nowhere/run.png"], "--plot: expected a file in a folder that can be written"),
        (["--compare", "nowhere.json"], "--compare: expected the JSON of a run, got 'nowhere.json'"),
        (["--device", "gpu", "--backend", "jax"], "device: expected 'cpu' or 'auto', got 'gpu'"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(bench, arguments, said):
    if "gpu" in arguments and Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    done = bench(*arguments)
    assert done.code == 2
    assert done.err.startswith(f"error: {said}")
    assert len(done.err.splitlines()) == 1
    assert done.out == ""


@pytest.mark.parametrize(
    "arguments", [["--execution", "fast"], ["--device", "tpu"], ["--threads", "one"], ["--epochs"]]
)
def test_an_option_that_does_not_parse_is_one_line_and_exit_code_2(bench, arguments):
    done = bench(*arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert arguments[0] in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""


def test_help_explains_every_option(bench):
    done = bench("--help")
    assert done.code == 0
    options = "backend case execution device threads processes steps repetitions data-dir cold json plot compare"
    for option in [*options.split(), "tolerance"]:
        assert f"--{option}" in done.out
