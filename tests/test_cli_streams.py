"""What the commands print where a stream has another encoding, is full, closed or a pipe that nobody reads."""

import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytest

from shared_bottom import cli
from shared_bottom.folder import read_trained
from spec import to_json
from tests.helpers.cli import contents, error, run, without_plots, write_experiment

ROOT = Path(__file__).parents[1]
EAGERLY = ("--backend", "torch", "--train.execution", "eager", "--train.epochs", "1")
NO_SPACE = "error: standard output: No space left on device\n"


def full():
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    return Path("/dev/full").open("w")


def unread():
    """A pipe whose reader has gone, as `head` does."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def ended(*arguments):
    """The exit code of a command."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "4 ? 2"), ("latin-1", "4 × 2"), ("utf-8", "4 × 2")])
def test_what_an_encoding_does_not_have_is_replaced(file, monkeypatch, encoding, shown):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding))
    assert ended("describe", file) == 0
    assert f" {shown} " in printed.getvalue().decode(encoding)
    assert ended("--help") == 0
    assert b"describe" in printed.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_error_line_writes_out_what_its_encoding_does_not_have(monkeypatch, encoding):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(printed, encoding=encoding))
    assert ended("describe", "日.toml") == 2
    assert printed.getvalue() == b"error: \\u65e5.toml: No such file or directory\n"


@pytest.mark.parametrize("arguments", [("--help",), ("fit", "--help"), ("describe", "FILE")], ids=" ".join)
@pytest.mark.parametrize(("stream", "code", "said"), [(unread, 141, ""), (full, 1, NO_SPACE)])
def test_a_standard_output_that_cannot_be_written_ends_the_command(
    file, monkeypatch, capsys, arguments, stream, code, said
):
    with stream() as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert ended(*(file if argument == "FILE" else argument for argument in arguments)) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", ["bench", "bench.parity", "bench.related", "bench.sharing"])
def test_the_benches_do_the_same(monkeypatch, capsys, command):
    main = importlib.import_module(f"{command}.__main__").main
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with unread() as output:
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as stop:
            main()
    assert stop.value.code == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("stream", "code"), [(unread, 141), (full, 1)])
def test_a_run_is_whole_before_anything_of_it_is_printed(tmp_path, monkeypatch, stream, code):
    pytest.importorskip("torch")
    without_plots(monkeypatch)
    file, out = write_experiment(tmp_path / "data"), tmp_path / "run"
    with stream() as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert ended("fit", file, "--out", out, *EAGERLY) == code
    assert {"model", "report.html", "metrics.jsonl"} <= {*contents(out)}


@pytest.mark.parametrize("stream", [unread, full, nullcontext], ids=["unread", "full", "closed"])
def test_progress_and_errors_that_nobody_sees_cost_nothing(tmp_path, monkeypatch, stream):
    pytest.importorskip("torch")
    without_plots(monkeypatch)
    file, out = write_experiment(tmp_path / "data"), tmp_path / "run"
    with stream() as errors:
        monkeypatch.setattr(sys, "stderr", errors)
        assert ended("fit", file, "--out", out, *EAGERLY) == 0
        assert ended("describe", "none.toml") == 2
    assert "model" in contents(out)


@pytest.mark.parametrize(
    ("redirection", "trains", "describes"),
    [("2>/dev/full", 0, 2), (">/dev/full", 1, 2), ("<&- >&- 2>&-", 0, 2)],
    ids=["full errors", "full output", "nothing open"],
)
def test_a_process_ends_with_the_same_code_whatever_becomes_of_its_streams(tmp_path, redirection, trains, describes):
    full().close()
    pytest.importorskip("torch")
    file, out = write_experiment(tmp_path / "data"), tmp_path / "run"
    shell = f'"{sys.executable}" -m shared_bottom "$@" {redirection}'
    for arguments, code in ((("fit", file, "--out", out, *EAGERLY), trains), (("describe", "none.toml"), describes)):
        command = ["sh", "-c", shell, "sh", *map(str, arguments)]
        assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120).returncode == code
    assert read_trained(out).params


ESCAPES = "\x1b]0;title\x07\nerror: forged"


def test_texts_of_a_file_reach_the_terminal_written_out(trained, tmp_path, capsys):
    shutil.copytree(trained / "model", tmp_path / "model", ignore=shutil.ignore_patterns("model.sha256"))
    columns = json.loads(to_json(read_trained(trained).columns))
    columns["data"]["test"] = [ESCAPES]
    (tmp_path / "model" / "columns.json").write_text(json.dumps(columns))
    said = error(capsys, "evaluate", tmp_path)
    assert said.startswith(r"\x1b]0;title\x07 error: forged: expected a file")


def test_the_title_of_a_table_is_written_out_too(trained, tmp_path, capsys):
    rows = shutil.copy(trained.parent / "test.parquet", tmp_path / "a\x1b[31m\nb.parquet")
    run("evaluate", trained, "--data", rows)
    assert r"a\x1b[31m b.parquet" in capsys.readouterr().out


def test_the_middle_of_a_long_line_is_left_out(capsys):
    said = error(capsys, "describe", f"{'k' * 3_000_000}.toml")
    assert "k … k" in said
    assert said.endswith("k.toml: File name too long")
    assert len(said) < 2100


def test_warnings_are_cut_and_written_out_as_errors_are(capsys):
    with cli.plain_warnings(lambda: True):
        warnings.simplefilter("always")
        warnings.warn(f"{ESCAPES} {'x' * 3_000_000} end", UserWarning, stacklevel=1)
    said = capsys.readouterr().err
    assert said.startswith(r"warning: \x1b]0;title\x07 error: forged xxx")
    assert said.endswith("x end\n")
    assert len(said) < 2100
