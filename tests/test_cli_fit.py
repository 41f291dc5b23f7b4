"""fit: what its folder holds, resuming, divergence, and that what fails leaves nothing."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.cli.parsing import absolute
from shared_bottom.folder import read_trained
from shared_bottom.tables.rows import read_table_experiment
from spec import SGD, load_backend, parameter_shapes, to_toml
from tests.helpers.checkpoints import steps_saved
from tests.helpers.cli import (
    EXPERIMENT,
    contents,
    error,
    fit,
    run,
    table,
    without_plots,
    write,
    write_experiment,
)
from tests.helpers.runs import quickest, signalled
from tests.helpers.table_files import with_data

WRITTEN = ["checkpoints", "experiment.toml", "metrics.jsonl", "model", "plots", "report.html", "status.json"]


@pytest.fixture
def drawn():
    """Asked for where the plots are."""


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        without_plots(monkeypatch)


def test_the_folder_holds_the_run(trained):
    assert contents(trained) == WRITTEN
    assert contents(trained / "model") == ["columns.json", "model.json", "model.sha256", "params.safetensors"]
    model = read_trained(trained).model
    params = load_file(trained / "model" / "params.safetensors")
    assert {name: value.shape for name, value in params.items()} == parameter_shapes(model)
    assert model.numeric == 4  # x, y, seen.elapsed_days, and where y is missing
    assert [task.outputs for task in model.tasks] == [1, 2, 3]  # the last is as many as the table has regions
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[0]["metrics"].keys() == {"click", "price", "region"}
    assert load_checkpoint(trained / "checkpoints").epoch == 2


def test_its_experiment_is_the_one_that_ran_and_runs_from_anywhere(trained, tmp_path, monkeypatch):
    experiment = read_table_experiment(trained / "experiment.toml")
    execution = quickest(trained.parent.name.rstrip("0123456789"))
    ran = absolute(EXPERIMENT, trained.parent)
    assert experiment == replace(ran, train=replace(ran.train, execution=execution))
    monkeypatch.chdir(tmp_path)
    fit(trained / "experiment.toml", "again", "jax", "--train.epochs", "1", "--quiet")
    assert contents("again") == WRITTEN


def test_it_prints_what_came_of_it(tmp_path, capsys, drawn):
    fit(write_experiment(tmp_path / "data"), tmp_path / "run", "jax")
    said = capsys.readouterr()
    lines = [line.split() for line in said.out.splitlines()]
    assert ["Epochs", "2"] in lines
    params = load_file(tmp_path / "run" / "model" / "params.safetensors")
    assert ["Parameters", str(sum(value.size for value in params.values()))] in lines
    assert {"click", "price", "region"} <= {line[0] for line in lines if line}
    assert f"report: {tmp_path / 'run' / 'report.html'}" in said.out
    assert "epoch 2/2" in said.err
    rows = [int(next(line[2] for line in lines if line[:2] == [part, "rows"])) for part in ("Training", "Validation")]
    assert sum(rows) == 60
    assert "Training rows" in (tmp_path / "run" / "report.html").read_text()
    assert {"losses.png", "losses.svg", "roc.png"} <= {*contents(tmp_path / "run" / "plots")}


def test_quietly_it_prints_nothing(tmp_path, capsys):
    fit(write_experiment(tmp_path / "data"), tmp_path / "run", "jax", "--quiet")
    assert capsys.readouterr() == ("", "")


def test_paths_on_the_command_line_are_relative_to_where_it_runs(tmp_path, monkeypatch):
    file = write_experiment(tmp_path / "data")
    write(tmp_path / "other.csv", table(40, seed=2))
    monkeypatch.chdir(tmp_path)
    fit(file, "run", "jax", "--quiet", "--data.train", "other.csv", "--train.epochs", "1")
    assert read_table_experiment(Path("run/experiment.toml")).data.train == (str(tmp_path / "other.csv"),)


def test_a_run_that_was_interrupted_ends_as_if_it_had_not_been(backend, tmp_path, monkeypatch, capsys):
    number, code = {"torch": (signal.SIGTERM, 143), "jax": (signal.SIGINT, 130)}[backend.name]
    file, every = write_experiment(tmp_path / "data"), ("--save-every", "2", "--quiet")
    whole = fit(file, tmp_path / "whole", backend.name, *every)
    out, flags = tmp_path / "run", ("--backend", backend.name, "--train.execution", quickest(backend.name), *every)
    with monkeypatch.context() as patch:
        signalled(backend, patch, 2, number)
        run("fit", file, "--out", out, *flags, code=code)
    assert "stopped after step" in capsys.readouterr().err
    assert contents(out) == ["checkpoints", "experiment.toml", "metrics.jsonl", "status.json"]
    assert "expected a new or an empty folder" in error(capsys, "fit", file, "--out", out, *flags)
    other = error(capsys, "fit", file, "--out", out, *flags, "--resume", "--train.seed", "2")
    assert "expected the run of" in other
    run("fit", out / "experiment.toml", "--out", out, *flags, "--resume")
    assert contents(out) == WRITTEN
    for name in contents(whole / "model"):
        assert (out / "model" / name).read_bytes() == (whole / "model" / name).read_bytes()


@pytest.mark.filterwarnings("always:train.epochs")
def test_fewer_epochs_than_a_run_was_last_started_with_are_said(tmp_path, monkeypatch, capsys):
    file, out = write_experiment(tmp_path / "data"), tmp_path / "run"
    flags, more = ("--backend", "jax", "--train.execution", "epoch", "--quiet"), ("--train.epochs", "5")
    run("fit", file, "--out", out, *flags, "--train.epochs", "1")
    with monkeypatch.context() as patch:
        signalled(load_backend("jax"), patch, 1, signal.SIGINT)
        run("fit", file, "--out", out, *flags, *more, "--resume", code=130)
    capsys.readouterr()
    run("fit", file, "--out", out, *flags, "--resume")
    epochs = EXPERIMENT.train.epochs
    assert capsys.readouterr().err == f"warning: train.epochs: {epochs} now, 5 when the run was last started\n"


def test_a_run_that_has_ended_goes_on_for_more_epochs(tmp_path):
    file = write_experiment(tmp_path / "data")
    long = fit(file, tmp_path / "long", "jax", "--quiet", "--train.epochs", "3")
    fit(file, tmp_path / "run", "jax", "--quiet")
    fit(file, tmp_path / "run", "jax", "--quiet", "--resume", "--train.epochs", "3")
    name = Path("model") / "params.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (long / name).read_bytes()
    assert read_table_experiment(tmp_path / "run" / "experiment.toml").train.epochs == 3
    assert contents(tmp_path / "run") == WRITTEN


def test_a_run_that_diverges_says_where_and_keeps_what_it_reached(tmp_path, capsys):
    train = replace(EXPERIMENT.train, optimizer=SGD(learning_rate=1.0), epochs=40, execution="epoch")
    file = write_experiment(tmp_path / "data")
    (tmp_path / "data" / "shop.toml").write_text(to_toml(replace(EXPERIMENT, train=train)))
    weight = ("--model.tasks.1.weight", "40", "--model.dropout", "0")
    out = tmp_path / "run"
    said = error(capsys, "fit", file, "--out", out, "--backend", "jax", "--quiet", *weight, code=1)
    assert said.startswith("loss: expected finite values, got ")
    assert f"the newest checkpoint is {out}/checkpoints/step-" in said
    epochs = [json.loads(line)["epoch"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) == load_checkpoint(out / "checkpoints").epoch
    assert "model" not in contents(out)


BAD = {
    "a column that is not there": (with_data(EXPERIMENT, weight="mass"), (), "train.csv: expected a column 'mass'"),
    "a value that is no number": (
        EXPERIMENT,
        ("--data.numeric.0.name", "id2"),
        "column 'id2', row 6: expected a number",
    ),
    "no such file": (with_data(EXPERIMENT, train=("none.csv",)), (), "none.csv: expected a file"),
    "no steps": (EXPERIMENT, ("--save-every", "0"), "save_every: expected an integer of 1 or more, got 0"),
    "a task's name": (EXPERIMENT, ("--model.tasks.0.name", "buy"), "data.labels: expected tasks among buy, price"),
    "no validation rows to stop by": (
        with_data(EXPERIMENT, validation_fraction=0.0),
        ("--train.early-stopping.patience", "2"),
        "early_stopping: expected validation rows",
    ),
    "no such backend": (EXPERIMENT, ("--backend", "mxnet"), "backend: expected one of jax, torch, got 'mxnet'"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_what_fails_before_training_leaves_the_folder_as_it_was(tmp_path, capsys, name, there):
    experiment, flags, said = BAD[name]
    file, out = write_experiment(tmp_path / "data", experiment), tmp_path / "run"
    rows = table(60)
    write(tmp_path / "data" / "train.csv", rows.append_column("id2", [["1", "2", "three"] * 20]))
    if there:
        out.mkdir()
    backend = () if "--backend" in flags else ("--backend", "jax")
    assert said in error(capsys, "fit", file, "--out", out, *backend, *flags, "--quiet")
    assert out.exists() == there
    assert not there or contents(out) == []


def test_a_folder_that_is_somebody_elses_is_not_touched(tmp_path, capsys):
    file, out = write_experiment(tmp_path / "data"), tmp_path / "data"
    before = contents(out)
    assert "--out: expected a new or an empty folder" in error(capsys, "fit", file, "--out", out)
    assert "with no experiment.toml" in error(capsys, "fit", file, "--out", out, "--resume")
    assert "--out: expected a folder, got the file" in error(capsys, "fit", file, "--out", file)
    assert "--out: expected a folder to write in" in error(capsys, "fit", file, "--out", file / "run")
    assert contents(out) == before


def test_a_model_that_cannot_be_written_is_not_there_in_part(tmp_path, capsys, monkeypatch):
    file, out, original = write_experiment(tmp_path / "data"), tmp_path / "run", os.fsync
    fit(file, out, "jax", "--quiet")
    before = {name: (out / "model" / name).read_bytes() for name in contents(out / "model")}

    def full(descriptor):
        if ".saving-model" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(28, "No space left on device", "disk")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    more = ("--resume", "--train.epochs", "3", "--backend", "jax", "--train.execution", "epoch", "--quiet")
    end = out / "checkpoints" / "step-00000015"
    said = f"disk: No space left on device; the end of the run is kept, and --resume writes the model: {end}"
    assert error(capsys, "fit", file, "--out", out, *more) == said
    assert contents(out) == WRITTEN
    assert {name: (out / "model" / name).read_bytes() for name in contents(out / "model")} == before
    assert steps_saved(out / "checkpoints")[-1] == load_checkpoint(out / "checkpoints").step


def test_tensorboards_events_are_asked_for_before_there_is_work(tmp_path, capsys, monkeypatch):
    file, out = write_experiment(tmp_path / "data"), tmp_path / "run"

    def missing():
        raise ImportError("tensorboard is not installed")

    with monkeypatch.context() as patch:
        patch.setattr("shared_bottom.cli.fit.check_events", missing)
        assert error(capsys, "fit", file, "--out", out, "--tensorboard") == "tensorboard is not installed"
    assert not out.exists()
    fit(file, out, "jax", "--quiet", "--tensorboard")
    assert any(path.name.startswith("events.out.tfevents") for path in out.iterdir())


def test_both_frameworks_are_named_if_neither_is_installed(monkeypatch):
    from shared_bottom.trained import choose_backend

    def missing(name):
        raise ImportError(f"no {name}")

    monkeypatch.setattr("shared_bottom.trained.load_backend", missing)
    with pytest.raises(ImportError, match=r"^no jax; no torch$"):
        choose_backend(None)


def test_without_a_name_it_takes_the_first_that_is_installed(monkeypatch):
    from shared_bottom.trained import choose_backend

    pytest.importorskip("torch")

    def without_jax(name):
        if name == "jax":
            raise ImportError("no jax")
        return load_backend(name)

    monkeypatch.setattr("shared_bottom.trained.load_backend", without_jax)
    assert choose_backend(None).name == "torch"
