"""How the command line says no: one line that names the field or the file, and exit code 2."""

import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from shared_bottom import cli
from shared_bottom.folder import read_trained
from spec import CategoricalFeature, Experiment, ModelSpec, TaskSpec, to_json, to_toml
from tests.helpers.cli import error, run, table, write

ROOT = Path(__file__).parents[1]

COMMANDS = "fit, evaluate, predict, export, describe, compare, cache, launch"
USAGE = {
    (): f"Expected one of {{{COMMANDS}}}",
    ("train",): f"command: expected one of {COMMANDS}, got 'train'",
    ("evalute",): f"command: expected one of {COMMANDS}, got 'evalute'; did you mean 'evaluate'?",
    ("fit", "--resum", "--out", "run"): "--resum: unexpected flag; did you mean '--resume'?",
    ("fit", "--out", "run", "--colour=3"): "--colour: unexpected flag",
    ("fit", "--resume", "--out", "."): "--out: expected the folder of a run to resume, or a FILE.toml besides, got '.'",
    ("fit", "FILE", "--out", "run", "--rows", "abc"): "--rows: expected an integer, got 'abc'",
    ("fit", "FILE", "--out", "run", "--threads", "1.5"): "--threads: expected an integer, got '1.5'",
    ("fit", "FILE", "--out", "run", "--timeout", "x"): "--timeout: expected a number, got 'x'",
    ("fit", "FILE", "--out", "run", "--data.numeric.0.bins", "x"): "--data.numeric.0.bins: expected an integer, got",
    ("fit", "FILE", "--out", "run", "--model.trunk", "3", "b"): "--model.trunk: expected values of another type, got",
    ("fit", "FILE", "--out", "run", "--train.epochs"): "--train.epochs: expected a value, got none",
    ("evaluate", "none", "--max-unknown", "x"): "--max-unknown: expected a number, got 'x'",
    ("fit", "FILE", "--out", "run", "rows.csv", "-q"): "rows.csv: unexpected argument",
    ("fit", "FILE", "--out", "run", "-q"): "-q: unexpected flag",
    ("fit",): "fit: expected FILE.toml and --out DIR, or --resume and --out DIR, got none",
    ("fit", "--out", "run"): "fit: expected FILE.toml, or --resume, got none",
    ("fit", "FILE"): "fit: expected --out DIR, got none",
    ("launch",): "launch: expected -n N, got none",
    ("fit", "FILE", "--out", "run", "--model.tasks.1.wieght", "2"): (
        "--model.tasks.1.wieght: unexpected flag; did you mean '--model.tasks.1.weight'?"
    ),
    ("fit", "FILE", "--out", "run", "--model.tasks.click.weight", "2"): (
        "--model.tasks.click.weight: unexpected flag; the items of tasks are numbered from 0 to 2, as in "
        "--model.tasks.0.weight"
    ),
    ("fit", "FILE", "--out", "run", "--model.tasks.7.colour=2"): (
        "--model.tasks.7.colour: unexpected flag; the items of tasks are numbered from 0 to 2, as in --model.tasks.0"
    ),
    ("fit", "FILE", "--out", "run", "--data.categorical.1.dimension", "2"): (
        "--data.categorical.1.dimension: unexpected flag; the items of categorical are numbered from 0, as in "
        "--data.categorical.0.dimension"
    ),
    ("fit", "FILE", "--out", "run", "--train.epoch", "3"): (
        "--train.epoch: unexpected flag; did you mean '--train.epochs'?"
    ),
    ("fit", "FILE", "--out", "run", "--train.optimiser.learning-rate=1"): (
        "--train.optimiser.learning_rate: unexpected flag; did you mean '--train.optimizer.learning_rate'?"
    ),
    ("fit", "FILE", "--out", "run", "--data.memori_mb", "1"): (
        "--data.memori_mb: unexpected flag; did you mean '--data.memory_mb'?"
    ),
    ("fit", "FILE", "--out", "run", "--save-evry", "3"): ("--save-evry: unexpected flag; did you mean '--save-every'?"),
    ("predict", "none", "rows.csv", "--out", "p.csv", "--kep", "x"): ("--kep: unexpected flag; did you mean '--keep'?"),
    ("fit", "FILE", "--out", "run", "--model.sharing.experts", "4"): (
        "--model.sharing.experts: unexpected field of kind shared_bottom; it belongs to kind mmoe, which "
        "--model.sharing.kind chooses"
    ),
    ("fit", "FILE", "--out", "run", "--train.optimizer.beta1=0.9", "--train.optimizer.kind", "sgd"): (
        "--train.optimizer.beta1=0.9: unexpected field of kind sgd; it belongs to kind adam and adamw, which "
        "--train.optimizer.kind chooses"
    ),
    ("fit", "FILE", "--out", "run", "--model.tasks.1.loss.delta", "2"): (
        "--model.tasks.1.loss.delta: unexpected field of kind squared; it belongs to kind huber, which "
        "--model.tasks.1.loss.kind chooses"
    ),
    ("fit", "FILE", "--out", "run", "--train.clip-norm", "x"): "--train.clip_norm: expected a number, got 'x'",
    ("fit", "FILE", "--out", "run", "--train.epochs", "1.5"): "--train.epochs: expected an integer, got '1.5'",
    ("fit", "FILE", "--out", "run", "--train.epochs", "0"): "train: epochs: expected a number greater than 0, got 0",
    ("fit", "FILE", "--out", "run", "--train.optimizer.eps", "-1"): "train.optimizer: eps: expected a number greater",
    ("fit", "FILE", "--out", "run", "--model.tasks.0.outputs", "3"): (
        "model.tasks.0: TaskSpec: outputs: expected 1 for the binary task 'click', got 3"
    ),
    ("fit", "FILE", "--out", "run", "--train.optimizer.kind", "lion"): (
        "--train.optimizer.kind: expected one of sgd, adam, adamw, adagrad, rmsprop, got 'lion'"
    ),
    (
        "fit",
        "FILE",
        "--out",
        "run",
        "--train.device",
        "tpu",
    ): "--train.device: expected one of 'auto', 'cpu', 'gpu', got 'tpu'",
    (
        "fit",
        "FILE",
        "--out",
        "run",
        "--train.epochs",
        "1" + "0" * 400,
    ): "train: epochs: expected a number less than 2147483",
    (
        "fit",
        "FILE",
        "--out",
        "run",
        "--model.trunk",
        "1000000",
        "2000000000",
        "--quiet",
    ): "memory: expected enough for all arrays, got",
    ("fit", "rows.csv", "--out", "run"): "fit: expected a FILE.toml, got 'rows.csv'",
    ("fit", "none.toml", "--out", "run"): "none.toml: No such file or directory",
    ("fit", "BAD", "--out", "run"): "BAD: model.trunks: unexpected field, got [6]; did you mean 'trunk'?",
    ("fit", "FILE", "--out", "run", "--timeout", "0"): "timeout: expected a number of seconds above 0, got 0.0",
    ("fit", "FILE", "--out", "run", "--timeout", "inf"): "timeout: expected a number of seconds above 0, got inf",
    ("evaluate",): "evaluate: expected DIR, got none",
    ("evaluate", "none"): "none: expected a folder that fit has completed, found no model in it",
    ("evaluate", "none", "--json", "none/metrics.json"): "--json: expected a file in a folder that can be written",
    ("predict", "none", "rows.csv", "--out", "p.txt"): "--out: expected a file .parquet or .csv, got 'p.txt'",
    ("predict", "none", "rows.csv", "--out", "none/p.csv"): "--out: expected a file in a folder that can be written",
    ("predict", "none", "--out", "p.csv"): "FILE: expected at least one, got none",
    ("predict", "none", "rows.csv", "--out", "p.csv"): "none: expected a folder that fit has completed",
    ("describe", "none.toml"): "none.toml: No such file or directory",
}


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_what_is_wrong_is_one_line_and_exit_code_2(file, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_text(file.read_text().replace("trunk", "trunks"))
    paths = {"FILE": str(file), "BAD": str(bad)}
    said = error(capsys, *(paths.get(argument, argument) for argument in arguments))
    assert said.startswith(USAGE[arguments].replace("BAD", str(bad)))
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["bad.toml"]


@pytest.mark.parametrize("flag", ["--rows", "--threads", "--train.clip_norm", "--train.epochs", "--timeout"])
def test_a_value_that_is_no_number_is_said_in_our_words(file, capsys, flag):
    kind = "a number" if flag in ("--train.clip_norm", "--timeout") else "an integer"
    assert error(capsys, "fit", file, "--out", "run", flag, "x y]") == f"{flag}: expected {kind}, got 'x y]'"


def test_a_flag_that_is_like_no_other_is_answered_with_none(file, capsys):
    said = error(capsys, "fit", file, "--out", "run", "--train.colour", "3")
    assert said == "--train.colour: unexpected flag"


def test_on_a_terminal_it_is_one_plain_line_too(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run("describe", code=2)
    assert capsys.readouterr().err == "error: describe: expected FILE.toml|DIR, got none\n"


MODEL_ERRORS = {
    "model.json": ("{", "model.json: expected JSON, got an error in line 1, column 2: expecting property name"),
    "columns.json": ("{}", "columns.json: data: expected a value, got none"),
    "params.safetensors": ("no tensors", "params.safetensors: "),
}


@pytest.mark.parametrize("name", MODEL_ERRORS)
def test_a_damaged_model_is_named(trained, tmp_path, capsys, name):
    shutil.copytree(trained / "model", tmp_path / "model", ignore=shutil.ignore_patterns("model.sha256"))
    text, said = MODEL_ERRORS[name]
    (tmp_path / "model" / name).write_text(text)
    assert error(capsys, "evaluate", tmp_path).startswith(f"{tmp_path}/model/{said}")


def test_what_cannot_be_predicted_or_evaluated_is_named(trained, tmp_path, capsys):
    rows = table(20)
    file = write(tmp_path / "rows.csv", rows.drop_columns(["region"]))
    out, backend = ("--out", tmp_path / "p.csv"), ("--backend", trained.parent.name.rstrip("0123456789"))
    assert "expected a column 'region'" in error(capsys, "evaluate", trained, "--data", file, *backend)
    assert "expected a column 'who'" in error(capsys, "predict", trained, file, *out, *backend, "--keep", "who")
    empty = write(tmp_path / "empty.parquet", rows.slice(0, 0))
    assert error(capsys, "predict", trained, empty, *out, *backend) == f"{empty}: expected rows, got none"
    two = [write(tmp_path / f"{name}.parquet", rows.append_column("who", [[name] * 20])) for name in ("3", "x")]
    numbers = write(two[0], rows.append_column("who", [[3] * 20]))
    said = error(capsys, "predict", trained, numbers, two[1], *out, *backend, "--keep", "who")
    assert said.startswith(f"{out[1]}: Failed to parse string: 'x'")
    assert not out[1].exists()


def test_a_model_that_a_killed_fit_set_aside_is_read(tmp_path, trained):
    shutil.copytree(trained / "model", tmp_path / ".replaced-model")
    assert read_trained(tmp_path).model == read_trained(trained).model


def test_without_test_files_some_must_be_named(tmp_path, trained, capsys):
    shutil.copytree(trained / "model", tmp_path / "model", ignore=shutil.ignore_patterns("model.sha256"))
    columns = read_trained(trained).columns
    (tmp_path / "model" / "columns.json").write_text(to_json(replace(columns, data=replace(columns.data, test=()))))
    assert error(capsys, "evaluate", tmp_path) == (
        "--data: expected files, since the experiment names no test files, got none"
    )


def test_with_debug_the_error_is_raised(tmp_path):
    with pytest.raises(ValueError, match="expected a folder that fit has completed"):
        cli.main(["evaluate", str(tmp_path), "--debug"])


def test_a_whole_spec_cannot_be_trained_from_a_file(tmp_path, capsys):
    model = ModelSpec(
        categorical=(CategoricalFeature(name="city", vocabulary=3, dimension=2),),
        trunk=(2,),
        tasks=(TaskSpec(name="click", kind="binary"),),
    )
    path = tmp_path / "spec.toml"
    path.write_text(to_toml(Experiment(model=model)))
    said = error(capsys, "fit", path, "--out", tmp_path / "run")
    assert said.startswith(f"{path}: ")
    run("describe", path)


def test_the_commands_installed_name_is_main():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"shared-bottom": f"{cli.__name__}:{cli.main.__name__}"}


@pytest.mark.slow
def test_a_process_of_its_own_says_so_and_loads_no_framework(tmp_path):
    code = "import sys, runpy; sys.argv = ['backends', 'describe', 'none.toml']\n"
    code += "try:\n    runpy.run_module('backends', run_name='__main__')\n"
    code += "finally:\n    print(sorted({'jax', 'torch'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (2, "[]\n", "error: none.toml: No such file or directory\n")
