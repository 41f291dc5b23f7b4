"""fit with and without the cache of encoded tables is the same run; cache lists and removes what is kept."""

import fcntl
import json
import os
import re

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.tables import turns
from shared_bottom.tables.cache import entries
from tests.helpers.cli import EXPERIMENT, changed, contents, error, fit, run, without_plots, write_experiment
from tests.helpers.row_cache import no_reading, of_another_user

QUIET = ("--quiet", "--train.epochs", "2")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    without_plots(monkeypatch)


@pytest.fixture
def file(tmp_path):
    return write_experiment(tmp_path / "data")


def losses(out):
    return load_checkpoint(out / "checkpoints").history.step_loss


def metrics(out):
    """The lines of metrics.jsonl but for their times."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if "seconds" not in name} for line in lines]


def test_the_curve_and_the_model_are_the_same_with_and_without_it(backend, file, tmp_path, cache, monkeypatch):
    without = fit(file, tmp_path / "without", backend.name, *QUIET, "--no-cache")
    assert not (cache / "tables").exists()
    first = fit(file, tmp_path / "first", backend.name, *QUIET)
    assert len(entries(cache / "tables")) == 1
    no_reading(monkeypatch)
    second = fit(file, tmp_path / "second", backend.name, *QUIET)
    for out in (first, second):
        assert contents(out) == contents(without)
        np.testing.assert_array_equal(losses(out), losses(without))
        assert metrics(out) == metrics(without)
        for name in contents(without / "model"):
            assert (out / "model" / name).read_bytes() == (without / "model" / name).read_bytes()


@pytest.mark.slow
def test_a_run_goes_on_with_or_without_it(file, tmp_path, cache, monkeypatch):
    whole = fit(file, tmp_path / "whole", "jax", "--quiet", "--train.epochs", "3", "--no-cache")
    for name, before, after in (("one", (), ("--no-cache",)), ("other", ("--no-cache",), ())):
        out = fit(file, tmp_path / name, "jax", *QUIET, *before)
        fit(file, out, "jax", "--quiet", "--train.epochs", "3", "--resume", *after)
        np.testing.assert_array_equal(losses(out), losses(whole))


def test_it_is_kept_where_the_flag_says(file, tmp_path, cache, capsys):
    fit(file, tmp_path / "run", "jax", *QUIET, "--cache", tmp_path / "kept")
    assert not (cache / "tables").exists()
    assert len(entries(tmp_path / "kept")) == 1
    run("cache", "--cache", tmp_path / "kept")
    assert capsys.readouterr().out.startswith(f"encoded tables in {tmp_path / 'kept'}: 1, 0.0")


@pytest.mark.slow
def test_the_columns_are_printed_and_warned_of_each_time(tmp_path, capsys):
    lone = changed(EXPERIMENT, validation_fraction=0.0, test=(), train=("train.csv",) * 2)
    file = write_experiment(tmp_path / "data", lone)
    text = (file.parent / "train.csv").read_text()
    (file.parent / "train.csv").write_text(re.sub("red|green|blue", "grey", text))
    said = []
    for name in ("first", "second"):
        fit(file, tmp_path / name, "jax", "--train.epochs", "1")
        printed = capsys.readouterr()
        warned = [line for line in printed.err.splitlines() if line.startswith("warning: ")]
        said.append((printed.out.partition("Run")[0], warned))
    assert said[0] == said[1]
    assert said[0][1] == [
        "warning: training rows: column 'colour': expected values that differ, got 'grey' in every row"
    ]


@pytest.mark.slow
def test_it_lists_what_is_kept_and_removes_it(file, tmp_path, cache, capsys, monkeypatch):
    folder = cache / "tables"
    run("cache")
    assert capsys.readouterr().out == f"encoded tables in {folder}: 0, 0.00 MB of at most 20.00 GB\n"
    monkeypatch.setenv("COLUMNS", "400")
    fit(file, tmp_path / "run", "jax", *QUIET)
    fit(file, tmp_path / "both", "jax", *QUIET, "--data.train", file.parent / "train.csv", file.parent / "train.csv")
    (first, second) = entries(folder)
    for entry, used in ((first, 1_600_000_000), (second, 1_500_000_000)):
        os.utime(entry.path, (used, used))
    (second.path / "entry.json").write_text("{")
    run("cache")
    title, *lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"encoded tables in {folder}: 2, 0\.0\d MB of at most 20\.00 GB", title)
    table, damaged = (line.split() for line in lines[3:5])
    rows = [int(table[i]) for i in (4, 5)]
    assert table[:4] == [str(file.parent / "train.csv"), "and", "1", "more"]
    assert sum(rows) == 120
    assert table[8] == "2020-09-13"
    assert damaged[:7] == ["damaged", "or", "not", "readable:", second.path.name, "–", "–"]
    run("cache", "--clear")
    assert re.fullmatch(rf"encoded tables in {folder}: removed 2, 0\.0\d MB\n", capsys.readouterr().out)
    assert contents(folder) == [".lock"]


def test_an_entry_of_another_user_is_listed_and_stays(tmp_path, capsys, monkeypatch):
    theirs, damaged = (tmp_path / (digit * 64) for digit in "01")
    for entry in (theirs, damaged):
        entry.mkdir()
        (entry / "entry.json").write_text("{}")
    of_another_user(monkeypatch, theirs)
    monkeypatch.setenv("COLUMNS", "400")
    run("cache", "--cache", tmp_path)
    assert f"damaged or not readable: {theirs.name}" in capsys.readouterr().out
    run("cache", "--clear", "--cache", tmp_path)
    assert capsys.readouterr().out == f"encoded tables in {tmp_path}: removed 1, 0.00 MB\n"
    assert contents(tmp_path) == [".lock", theirs.name]


def test_it_removes_nothing_else(tmp_path, capsys):
    (tmp_path / "aaa").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    run("cache", "--clear", "--cache", tmp_path)
    assert {"aaa", "notes.txt"} <= {*contents(tmp_path)}


def test_nothing_is_removed_while_another_process_has_the_folder_for_itself(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(turns, "WAIT", 0.1)
    (tmp_path / ("0" * 64)).mkdir()
    with (tmp_path / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = error(capsys, "cache", "--clear", "--cache", tmp_path)
    assert line == f"{tmp_path}/.lock: another process has had the folder for itself for 0.1 s"
    assert contents(tmp_path) == [".lock", "0" * 64]


def test_what_is_wrong_is_one_line(file, tmp_path, capsys, monkeypatch):
    assert error(capsys, "cache", "--cache", tmp_path / "none") == (
        f"--cache: expected a folder, got '{tmp_path / 'none'}'"
    )
    assert error(capsys, "cache", "all") == "all: unexpected argument"
    monkeypatch.setenv("SHARED_BOTTOM_CACHE_GB", "all")
    expected = "SHARED_BOTTOM_CACHE_GB: expected a number of GB above 0, got 'all'"
    assert error(capsys, "cache") == expected
    assert error(capsys, "fit", file, "--out", tmp_path / "run", "--backend", "jax") == expected
    assert not (tmp_path / "run").exists()
    both = error(capsys, "fit", file, "--out", tmp_path / "run", "--no-cache", "--cache", tmp_path)
    assert both.startswith("--cache: expected none with --no-cache, got ")
    no_folder = error(capsys, "fit", file, "--out", tmp_path / "run", "--cache", file)
    assert no_folder == f"--cache: expected a folder, got {str(file)!r}"


@pytest.mark.parametrize("place", ["run", "run/checkpoints", "data/../run"])
def test_the_folder_of_the_run_which_it_locks_cannot_be_that_of_the_cache(file, tmp_path, capsys, place):
    line = error(capsys, "fit", file, "--out", tmp_path / "run", "--backend", "jax", "--cache", tmp_path / place)
    assert line == f"--cache: expected another folder than those of the run, got '{tmp_path / place}'"
    assert not (tmp_path / "run").exists()
