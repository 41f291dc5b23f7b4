"""The comparison of tasks alone and together as a command, on tables of a folder."""

import signal
import sys

import numpy as np
import pytest
from pydantic import TypeAdapter

from bench.sharing import __main__ as sharing
from bench.sharing import runs as sharing_runs
from bench.sharing.results import Sharing, to_json


@pytest.fixture
def table(tmp_path):
    def write(tasks=("a", "b"), data="", learning_rate=0.03, epochs=2, seed=7, name="own.toml"):
        for file, count in (("rows.csv", 200), ("test.csv", 100)):
            values = np.random.default_rng(count).standard_normal((count, 2))
            lines = ["x,y,a,b", *(f"{x},{y},{x},{'' if i % 2 else y}" for i, (x, y) in enumerate(values))]
            (tmp_path / file).write_text("\n".join(lines) + "\n")
        heads = "\n".join(f'[[model.tasks]]\nname = "{name}"\nkind = "regression"' for name in tasks)
        labels = "\n".join(f'[data.labels.{name}]\ncolumns = ["{name}"]' for name in tasks)
        (tmp_path / name).write_text(
            f'[model]\ntrunk = [3]\n{heads}\n[train]\nepochs = {epochs}\nseed = {seed}\ndevice = "cpu"\n'
            f'optimizer = {{ kind = "sgd", learning_rate = {learning_rate} }}\n'
            f'[data]\ntrain = ["rows.csv"]\n{data}\nnumeric = [{{ name = "x" }}, {{ name = "y" }}]\n{labels}\n'
        )
        return str(tmp_path / name)

    return write


@pytest.fixture
def command(monkeypatch):
    """Runs it and gives its exit code; cores and signals stay as they are."""
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sharing, "limit_threads", lambda threads: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sharing", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            sharing.main()
        return stop.value.code

    yield run
    signal.signal(signal.SIGINT, before)


def test_it_prints_writes_and_draws_all(tmp_path, table, command, capsys):
    json, plot = tmp_path / "own.json", tmp_path / "own.svg"
    file = table(data='test = ["test.csv"]')
    assert command(file, "--seeds", 2, "--gradient-rows", 50, "--json", json, "--plot", plot) == 0
    said = capsys.readouterr()
    assert "b: 50.0% of the training rows have its label" in said.out
    assert "seed 8: all together (1 of 2 seeds done)" in said.err
    run = TypeAdapter(Sharing).validate_json(json.read_bytes())
    assert to_json(run) == json.read_bytes()
    assert [seed.seed for seed in run.seeds] == [7, 8]
    assert (run.evaluated_on, run.evaluated_rows, run.gradient_rows, run.steps) == ("test", 100, 50, 14)
    for found in run.outcomes:
        assert f"{found.difference:+.4f}" in said.out
        assert found.reference == np.mean([seed.alone[found.task]["rmse"] for seed in run.seeds])
    assert plot.read_text().startswith("<?xml")


def test_ways_are_compared_and_written(tmp_path, table, command, capsys):
    json, plot = tmp_path / "own.json", tmp_path / "own.png"
    file = table(data='test = ["test.csv"]', epochs=1)
    assert command(file, "--seeds", 2, "--ways", "shared_bottom,mmoe", "--json", json, "--plot", plot) == 0
    said = capsys.readouterr()
    assert "seed 7: all together, mmoe (0 of 2 seeds done)" in said.err
    assert "over shared_bottom" in said.out
    run = TypeAdapter(Sharing).validate_json(json.read_bytes())
    assert (run.schema_version, list(run.ways), run.base) == (2, ["shared_bottom", "mmoe"], "shared_bottom")
    assert len(run.seeds[1].ways["mmoe"].gates["gates.a"]) == 8
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_without_test_rows_the_validation_rows_decide(tmp_path, table, command):
    json, plot = tmp_path / "own.json", tmp_path / "own.png"
    file = table(data="validation_fraction = 0.25", epochs=1)
    assert command(file, "--seeds", 1, "--json", json, "--plot", plot) == 0
    run = TypeAdapter(Sharing).validate_json(json.read_bytes())
    assert run.evaluated_on == "validation"
    assert run.training_rows + run.evaluated_rows == 200
    assert 0 < run.evaluated_rows < 100
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(130)])
@pytest.mark.parametrize("done", [0, 1])
def test_ctrl_c_shows_the_seeds_that_are_done(tmp_path, table, command, capsys, monkeypatch, stop, done):
    whole, calls, json = sharing_runs.run_seed, [], tmp_path / "own.json"

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) > done:
            raise stop
        return whole(*arguments)

    monkeypatch.setattr(sharing_runs, "run_seed", interrupted)
    assert command(table(data="validation_fraction = 0.25", epochs=1), "--json", json) == 130
    assert ("Stopped before the end, by Ctrl-C" in capsys.readouterr().out) == (done == 1)
    assert json.exists() == (done == 1)


def test_a_run_that_diverges_is_one_line_and_exit_code_2(table, command, capsys):
    assert command(table(data="validation_fraction = 0.25", learning_rate=1e30)) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: loss: expected finite values")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["own.txt"], "FILE: expected a FILE.toml or census, got 'own.txt'"),
        (["nowhere.toml"], "FILE: expected a file that can be read, got 'nowhere.toml': No such file"),
        (["pyproject.toml"], "pyproject.toml: data: expected the table [data], of rows that sharing may help on"),
        (["census"], "--data-dir: expected the folder of the Census-Income files with census, got none"),
        (["census", "--data-dir", "nowhere"], "--data-dir: expected the folder"),
        (["own.toml", "--data-dir", "."], "--data-dir: expected none, only census reads it, got '.'"),
        (["own.toml", "--backend", "numpy"], "--backend: expected one of jax, torch, got 'numpy'"),
        (["own.toml", "--ways", "mmoe,mmoe"], "--ways: expected different ones of shared_bottom, separate, mmoe, ple"),
        (["own.toml", "--ways", "mmoe,experts"], "--ways: expected different ones of shared_bottom, separate, mmoe, p"),
        (["own.toml", "--ways", ""], "--ways: expected different ones of shared_bottom, separate, mmoe, ple, separat"),
        (["own.toml", "--seeds", "0"], "--seeds: expected 1 or more, got 0"),
        (["own.toml", "--gradient-rows", "0"], "--gradient-rows: expected 1 or more, got 0"),
        (["own.toml", "--threads", "0"], "--threads: expected 1 to"),
        (["own.toml", "--json", "."], "--json: expected a file in a folder that can be written"),
        (["own.toml", "--plot", "own.pdf"], "--plot: expected a .png or .svg, got 'own.pdf'"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(command, capsys, arguments, said):
    assert command(*arguments) == 2
    found = capsys.readouterr()
    assert found.err.startswith(f"error: {said}")
    assert (len(found.err.splitlines()), found.out) == (1, "")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "data: expected test, validation or validation_fraction, to measure on, got none"),
        (
            {"tasks": ("a",), "data": 'test = ["test.csv"]'},
            "model.tasks: expected two tasks or more to share a trunk",
        ),
        ({"data": 'test = ["gone.csv"]'}, "gone.csv"),
        ({"data": 'test = ["test.csv"]', "seed": 2**32 - 1}, "seed: expected a number less than 4294967296"),
    ],
)
def test_a_table_that_cannot_tell_is_one_line_and_exit_code_2(table, command, capsys, fields, said):
    assert command(table(**fields)) == 2
    found = capsys.readouterr()
    assert said in found.err
    assert (len(found.err.splitlines()), found.out) == (1, "")
