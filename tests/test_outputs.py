"""The files that commands write: never one that is read, each whole, under a name that nobody can have taken."""

import os
import resource
import secrets
import shutil
import stat
from pathlib import Path

import pytest
from pyarrow import parquet

import bench.options
from bench.parity import __main__ as parity
from bench.sharing import __main__ as sharing
from shared_bottom.disk import check_output, whole_file, write_whole
from spec import Experiment, presets, to_toml
from tests.helpers.builders import rejection
from tests.helpers.cli import contents, error, run, table, write


@pytest.fixture
def copy(trained, tmp_path):
    """The folder of a run, to be changed."""
    return shutil.copytree(trained, tmp_path / "copy")


def same_name(rows):
    return rows


def other_spelling(rows):
    return rows.parent / "folder" / ".." / rows.name


def relative(rows):
    return Path(os.path.relpath(rows))


def symbolic_link(rows):
    rows.with_name("linked.parquet").symlink_to(rows)
    return rows.with_name("linked.parquet")


def hard_link(rows):
    rows.with_name("linked.parquet").hardlink_to(rows)
    return rows.with_name("linked.parquet")


SPELLINGS = pytest.mark.parametrize("spelling", [same_name, other_spelling, relative, symbolic_link, hard_link])


def assert_refused(said, option, out, source, expected="other than"):
    assert said == f"{option}: expected a file {expected} {str(source)!r}, got {str(out)!r}"


@SPELLINGS
def test_an_input_is_not_replaced_by_its_predictions(tmp_path, capsys, spelling):
    rows = write(tmp_path / "rows.parquet", table(20))
    (tmp_path / "folder").mkdir()
    out, before = spelling(rows), rows.read_bytes()
    said = error(capsys, "predict", tmp_path / "none", write(tmp_path / "a.csv", table(5)), rows, "--out", out)
    assert_refused(said, "--out", out, rows)
    assert rows.read_bytes() == before


@SPELLINGS
def test_a_table_is_not_replaced_by_its_metrics(tmp_path, capsys, spelling):
    rows = write(tmp_path / "rows.parquet", table(20))
    (tmp_path / "folder").mkdir()
    out, before = spelling(rows), rows.read_bytes()
    assert_refused(error(capsys, "evaluate", tmp_path / "none", "--data", rows, "--json", out), "--json", out, rows)
    assert rows.read_bytes() == before


def test_the_experiments_own_test_file_is_not_replaced_either(trained, capsys):
    rows = trained.parent / "test.parquet"
    before = rows.read_bytes()
    assert_refused(error(capsys, "evaluate", trained, "--json", rows, "--backend", "torch"), "--json", rows, rows)
    assert rows.read_bytes() == before


@pytest.mark.parametrize("place", ["model/p.csv", "checkpoints/p.csv", "checkpoints/step-00000005/p.csv"])
def test_nothing_is_written_into_the_folders_that_are_read_again(copy, tmp_path, capsys, place):
    (copy / place).parent.mkdir(exist_ok=True)
    rows = write(tmp_path / "rows.csv", table(5))
    folder = copy / place.split("/")[0]
    for option, command in (("--out", ("predict", copy, rows)), ("--json", ("evaluate", copy))):
        assert_refused(error(capsys, *command, option, copy / place), option, copy / place, folder, "outside of")


def test_beside_the_model_predictions_may_lie(copy, tmp_path):
    rows = write(tmp_path / "rows.parquet", table(5))
    run("predict", copy, rows, "--out", copy / "p.parquet", "--backend", "torch")
    assert parquet.read_table(copy / "p.parquet").num_rows == 5


def test_the_experiment_is_not_replaced(copy, capsys):
    path = copy / "experiment.toml"
    assert_refused(error(capsys, "evaluate", copy, "--json", path), "--json", path, path)


@pytest.mark.parametrize("option", ["json", "plot"])
@pytest.mark.parametrize("command", ["bench", "parity", "sharing"])
def test_an_experiment_is_not_replaced_by_what_is_measured(tmp_path, command, option):
    path = tmp_path / "wide.toml"
    path.write_text(to_toml(Experiment(model=presets.tutorial_model(), train=presets.tutorial_training())))
    check = {
        "bench": lambda: bench.options.check(bench.options.Options(case=str(path), **{option: path})),
        "parity": lambda: parity.prepare(parity.Options(case=str(path), **{option: path})),
        "sharing": lambda: sharing.check(sharing.Options(file=str(path), **{option: path})),
    }[command]
    assert_refused(rejection(check), f"--{option}", path, path)


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match=r"^--out: expected a file in a folder that can be written, got"):
        check_output("--out", tmp_path / "pipe.csv")


def test_of_two_that_write_one_file_the_later_stays_whole(tmp_path):
    path = tmp_path / "p.csv"
    with whole_file(path) as first:
        first.write(b"first, begun")
        with whole_file(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
        first.write(b" and ended")
    assert path.read_bytes() == b"first, begun and ended"
    assert contents(tmp_path) == ["p.csv"]


@pytest.mark.parametrize("name", [".p.csv.partial", ".p.csv.00000000.partial"])
def test_a_planted_link_is_not_followed(tmp_path, monkeypatch, name):
    monkeypatch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)
    victim, link = tmp_path / "victim", tmp_path / name
    victim.write_bytes(b"precious")
    link.symlink_to(victim)
    if name == ".p.csv.partial":
        write_whole(tmp_path / "p.csv", b"new")
    else:  # the one name in 2³² that is tried
        with pytest.raises(FileExistsError, match=r"p\.csv"):
            write_whole(tmp_path / "p.csv", b"new")
    assert victim.read_bytes() == b"precious"
    assert link.is_symlink()


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / f"{'é' * 125}.json"
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_link_that_leads_to_itself_is_no_input(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    check_output("--out", tmp_path / "p.csv", [tmp_path / "loop"])


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_its_permissions_are_those_of_any_new_file(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "p.csv", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "p.csv").stat().st_mode) == mode


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("earlier", [False, True], ids=["new", "replaces"])
def test_predictions_that_do_not_fit_name_their_file_and_what_is_kept(trained, tmp_path, capsys, suffix, earlier):
    rows, out = write(tmp_path / "rows.parquet", table(4000)), tmp_path / f"p{suffix}"
    if earlier:
        out.write_text("an earlier one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))  # bytes
    try:
        said = error(capsys, "predict", trained, rows, "--out", out, "--backend", "torch")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert said == f"{out}: File too large; nothing was written, and an earlier file is as it was"
    assert contents(tmp_path) == sorted([rows.name, *([out.name] if earlier else [])])
    assert not earlier or out.read_text() == "an earlier one"
