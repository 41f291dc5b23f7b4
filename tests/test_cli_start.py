"""fit --start-from, and what of a run's flags its folder knows already when it is resumed."""

import pickle
import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.checkpoint.saver import CheckpointSaver
from shared_bottom.cli.beginning import beginning_of
from shared_bottom.cli.parsing import parse
from shared_bottom.folder import read_trained
from tests.helpers.cli import contents, error, fit, run, table, without_plots, write, write_experiment

STILL = ("--train.optimizer.kind", "sgd", "--train.optimizer.learning-rate", "1e-30")
"""Training that moves nothing."""
FLAGS = ("--backend", "torch", "--train.execution", "eager")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    pytest.importorskip("torch")
    without_plots(monkeypatch)


@pytest.fixture
def shop(tmp_path):
    return write_experiment(tmp_path / "data")


@pytest.fixture
def monday(shop, tmp_path):
    return fit(shop, tmp_path / "monday", "torch", "--quiet")


@pytest.fixture
def tuesday_rows(tmp_path, monday):
    """Other rows in place of the first ones, with a colour more."""
    rows = table(60, seed=2)
    colours = ["violet" if i % 9 == 0 else value for i, value in enumerate(rows["colour"].to_pylist())]
    write(tmp_path / "data" / "train.csv", rows.set_column(rows.schema.names.index("colour"), "colour", [colours]))


@contextmanager
def dying(saves):
    """A run ends, as if it were killed, when it has saved so many checkpoints and comes to save another."""
    save, left = CheckpointSaver._write, iter(range(saves))

    def until(self, folder, checkpoint):
        if next(left, None) is None:
            raise SystemExit(9)
        return save(self, folder, checkpoint)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointSaver, "_write", until)
        yield patch


def test_a_run_starts_where_another_ended(shop, tmp_path, monday, tuesday_rows, capsys):
    out = tmp_path / "tuesday"
    run("fit", shop, "--out", out, *FLAGS, "--start-from", monday, *STILL)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"starts from {monday}" in printed
    assert "embeddings.colour grown values 3 values 1" in printed
    before, after = read_trained(monday), read_trained(out)
    assert after.columns.vocabularies["colour"] == (*before.columns.vocabularies["colour"], "violet")
    assert after.columns.numeric == before.columns.numeric
    rows = table(30, seed=3)
    for name, values in before.predict(rows).to_pydict().items():
        expected = np.asarray(values)
        got = np.asarray(after.predict(rows)[name])
        assert np.array_equal(got, expected) if expected.dtype.kind == "U" else np.allclose(got, expected, rtol=1e-5)


def test_of_many_layers_those_that_are_not_taken_over_as_they_were_are_printed(shop, tmp_path, capsys):
    hidden = ("--model.tasks.0.hidden", *["6"] * 20)
    monday = fit(shop, tmp_path / "monday", "torch", "--quiet", *hidden)
    capsys.readouterr()
    data = ("--data.labels.region.classes", "north", "south", "west")
    run("fit", shop, "--out", tmp_path / "tuesday", *FLAGS, "--start-from", monday, *hidden, *data)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "tasks.region.0 grown classes 2 classes 1 classes 1" in lines
    assert [line for line in lines if line.startswith("… and")] == ["… and 25 more taken over"]


def test_quietly_nothing_is_printed(shop, tmp_path, monday, capsys):
    capsys.readouterr()
    run("fit", shop, "--out", tmp_path / "tuesday", *FLAGS, "--start-from", monday, "--quiet")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("same", [False, True], ids=["by its folder", "by the same command"])
@pytest.mark.parametrize("saves", [0, 1], ids=["before its first checkpoint", "after it"])
def test_a_resumed_run_needs_the_one_that_it_started_from_no_more(shop, tmp_path, monday, tuesday_rows, saves, same):
    again = (shop, *FLAGS, "--start-from", monday) if same else ()
    whole, out = tmp_path / "whole", tmp_path / "tuesday"
    run("fit", shop, "--out", whole, *FLAGS, "--quiet", "--start-from", monday)
    with dying(saves) as patch:
        patch.setattr("shared_bottom.folder._remove_beginnings", lambda *_: None)  # as a kill leaves them
        run("fit", shop, "--out", out, *FLAGS, "--quiet", "--start-from", monday, code=9)
    assert len([*(out / "checkpoints").glob("step-*")]) == saves
    shutil.rmtree(monday)
    run("fit", *again, "--resume", "--out", out, "--quiet")
    for name, value in read_trained(whole).params.items():
        np.testing.assert_array_equal(read_trained(out).params[name], value)
    if not same:
        report = (out / "report.html").read_text()
        assert "<title>tuesday</title>" in report
        assert f"{out}/start" in report, "what it starts from, though the flag is not there"


def test_a_run_is_resumed_with_what_it_started_from_or_without_a_word(shop, tmp_path, monday, capsys):
    out, other = tmp_path / "tuesday", fit(shop, tmp_path / "other", "torch", "--quiet", "--train.seed", "5")
    run("fit", shop, "--out", out, *FLAGS, "--quiet", "--start-from", monday)
    run("fit", "--resume", "--out", out, "--quiet", "--start-from", monday, "--train.epochs", "3")
    assert load_checkpoint(out / "checkpoints").epoch == 3
    said = error(capsys, "fit", "--resume", "--out", out, "--start-from", other, "--quiet")
    assert said == (
        f"--start-from: expected the run that '{out}' began from, or no --start-from at all, as it began with what is "
        f"kept in '{out}/start', got '{other}'"
    )
    said = error(capsys, "fit", "--resume", "--out", other, "--start-from", monday)
    assert said.endswith(f"as it began without one, got '{monday}'")


@pytest.mark.parametrize("goes_on", [False, True])
def test_what_a_run_begins_with_can_be_told_to_other_processes(shop, tmp_path, monday, goes_on):
    """Parameters too, unless there are checkpoints, since the folder may be on the first one's machine only."""
    out = tmp_path / "tuesday"
    if goes_on:
        run("fit", shop, "--out", out, *FLAGS, "--quiet", "--start-from", monday)
    options = parse(["fit", str(shop), "--out", str(out), "--start-from", str(monday)])
    told = pickle.loads(pickle.dumps(beginning_of(options)))
    assert told.goes_on == goes_on
    assert told.earlier.columns == read_trained(monday).columns
    assert told.earlier.params.keys() == (set() if goes_on else read_trained(monday).params.keys())


def test_a_folder_that_is_no_run_is_named_and_nothing_is_left(shop, tmp_path, capsys):
    said = error(capsys, "fit", shop, "--out", tmp_path / "run", *FLAGS, "--start-from", tmp_path / "data")
    assert said == f"--start-from: {tmp_path}/data: expected a folder that fit has completed, found no model in it"
    assert "run" not in contents(tmp_path)


def test_what_a_run_started_from_is_removed_with_the_run_that_came_to_nothing(shop, tmp_path, monday):
    with dying(0):
        run("fit", shop, "--out", tmp_path / "run", *FLAGS, "--quiet", "--start-from", monday, code=9)
    assert contents(tmp_path) == ["cache", "data", "monday"]


def test_a_run_is_resumed_by_its_folder_alone(monday):
    """With the flags that it began with, and in the same backend, though another may come first."""
    run("fit", "--resume", "--out", monday, "--quiet", "--train.epochs", "4")
    saved = load_checkpoint(monday / "checkpoints")
    assert (saved.epoch, saved.backend, saved.history.execution) == (4, "torch", "eager")


def test_the_epochs_that_a_resumed_run_was_given_are_those_of_the_next_time(monday):
    with dying(1):
        run("fit", "--resume", "--out", monday, "--quiet", "--train.epochs", "5", code=9)
    assert load_checkpoint(monday / "checkpoints").epoch == 3
    run("fit", "--resume", "--out", monday, "--quiet")
    assert load_checkpoint(monday / "checkpoints").epoch == 5


def test_a_folder_without_a_run_cannot_be_resumed_by_itself(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    for name in ("run", "none"):
        said = error(capsys, "fit", "--resume", "--out", tmp_path / name)
        expected = "expected the folder of a run to resume, or a FILE.toml besides"
        assert said == f"--out: {expected}, got '{tmp_path / name}', with no experiment.toml"


@pytest.mark.parametrize(("warmup", "first"), [(0, 1), (4, 5)])
def test_more_epochs_under_a_schedule_that_decays_are_another_run(shop, tmp_path, capsys, warmup, first):
    flags = ("--train.schedule.kind", "linear", "--train.schedule.warmup-steps", warmup)
    out = fit(shop, tmp_path / "run", "torch", "--quiet", *flags)
    said = error(capsys, "fit", "--resume", "--out", out, "--train.epochs", "12", "--quiet")
    assert said == (
        f"resume: expected the run of {out}/checkpoints/step-00000010, got another: train.epochs: 2 saved, 12 now, by "
        f"which schedule linear gives all steps from {first} on (from 0) other learning rates; to train on from its "
        "parameters, begin a new run with --start-from"
    )


def test_what_is_frozen_stays_as_the_earlier_run_left_it(shop, tmp_path, monday, tuesday_rows):
    out = tmp_path / "tuesday"
    run("fit", shop, "--out", out, *FLAGS, "--quiet", "--start-from", monday, "--freeze", "trunk,embeddings")
    before, after = read_trained(monday).params, read_trained(out).params
    for name, value in before.items():
        same = np.array_equal(after[name][: len(value)], value)
        assert same == name.startswith(("trunk.", "embeddings.")), name


@pytest.mark.parametrize("names", ["", "trunk,", ",trunk"])
def test_names_to_freeze_are_not_empty(shop, tmp_path, capsys, names):
    said = error(capsys, "fit", shop, "--out", tmp_path / "run", "--freeze", names)
    assert said == f"--freeze: expected names of parameters with commas between them, got {names!r}"
