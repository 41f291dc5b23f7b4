"""SIGTERM and Ctrl-C end a command with 143 and 130, wherever they come, and leave no half-made folder."""

import gc
import os
import signal
import time

import pytest

from tests.helpers.cli import contents, run, write_experiment

EXITS = pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
READING = "shared_bottom.cli.fit.read_table"


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(5)  # the handler runs at once


def collecting(number):
    """Python drops what is raised while it collects garbage."""

    def callback(phase, info):
        gc.callbacks.remove(callback)
        send(number)

    gc.callbacks.append(callback)
    gc.collect()
    time.sleep(5)
    pytest.fail("the run went on")


def converted(number):
    try:
        send(number)
    except KeyboardInterrupt as error:
        raise RuntimeError("a library's own error") from error


def swallowed(number):
    try:
        send(number)
    except BaseException:
        raise ValueError("expected something else") from None


@EXITS
@pytest.mark.parametrize("how", [send, collecting, converted, swallowed])
def test_while_a_table_is_read(tmp_path, monkeypatch, capsys, number, code, how):
    file, out = write_experiment(tmp_path / "data"), tmp_path / "run"
    monkeypatch.setattr(READING, lambda *_, **__: how(number))
    handlers = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]
    run("fit", file, "--out", out, code=code)
    assert capsys.readouterr() == ("", "")
    assert not out.exists()
    assert [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)] == handlers


@EXITS
def test_while_the_arguments_are_parsed(file, monkeypatch, capsys, number, code):
    monkeypatch.setattr("tyro.cli", lambda *_, **__: send(number))
    run("describe", file, code=code)
    assert capsys.readouterr() == ("", "")


def test_one_that_is_ignored_stays_so(file, monkeypatch, capsys):
    monkeypatch.setattr(
        "shared_bottom.cli.describe.columns_and_network", lambda *_: os.kill(os.getpid(), signal.SIGINT)
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(TypeError):
            run("describe", file)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_the_user_puts_into_the_folder_meanwhile_stays(tmp_path, monkeypatch):
    file, out = write_experiment(tmp_path / "data"), tmp_path / "new" / "run"

    def reading(*_, **__):
        (out / "notes.txt").write_text("mine")
        send(signal.SIGINT)

    monkeypatch.setattr(READING, reading)
    run("fit", file, "--out", out, code=130)
    assert contents(out) == ["notes.txt"]
