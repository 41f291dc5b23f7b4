"""SIGTERM and Ctrl-C end the call in hand, save, say where, and exit with 143 and 130; and a folder has one owner."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from shared_bottom.checkpoint.folder import CheckpointFolder, load_checkpoint
from shared_bottom.run.interrupts import Interrupts
from spec import DivergenceError, load_backend
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, assert_same_run, short, steps_saved
from tests.helpers.runs import signalled

ROOT = Path(__file__).parents[1]
EXITS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
WAITING = "stopping once the call in hand has been compiled and has ended; a second signal stops at once"


@pytest.mark.parametrize(("number", "code"), EXITS)
@pytest.mark.parametrize(("save_every", "calls", "step"), [(2, 2, 4), (2, 3, 5), (None, 1, 5), (10, 2, 10), (10, 1, 5)])
def test_it_ends_the_call_saves_says_where_and_exits(
    backend, monkeypatch, tmp_path, capsys, number, code, save_every, calls, step
):
    train, options = short(backend), {"checkpoint": tmp_path, "save_every": save_every}
    before = [signal.getsignal(number) for number, _ in EXITS]
    with monkeypatch.context() as patch:
        signalled(backend, patch, calls, number)
        with pytest.raises(SystemExit) as caught:
            backend.fit(MODEL, train, DATA, VALIDATION, **options)
    assert caught.value.code == code
    assert [signal.getsignal(number) for number, _ in EXITS] == before
    assert steps_saved(tmp_path)[-1] == step
    assert capsys.readouterr().err == (
        f"{number.name}: {WAITING}\n"
        f"{number.name}: stopped after step {step}, saved; the newest checkpoint is {tmp_path}/step-{step:08d}\n"
    )
    resumed = backend.fit(MODEL, train, DATA, VALIDATION, resume=True, **options)
    alone = backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path / "alone", save_every=save_every)
    assert_same_run(resumed, alone)


def test_a_second_ctrl_c_interrupts_at_once(backend, monkeypatch, tmp_path):
    signalled(backend, monkeypatch, 2, signal.SIGINT, times=2)
    with pytest.raises(KeyboardInterrupt):
        backend.fit(MODEL, short(backend), DATA, checkpoint=tmp_path, save_every=2)
    assert steps_saved(tmp_path) == [2]


def test_a_signal_that_comes_too_late_to_be_granted_does_what_it_did_before():
    with pytest.raises(KeyboardInterrupt), Interrupts():
        os.kill(os.getpid(), signal.SIGINT)


def test_an_error_of_the_call_is_not_hidden_by_a_signal(backend, monkeypatch, tmp_path):
    signalled(backend, monkeypatch, 1, signal.SIGINT)
    price = DATA.labels["price"] * 1e30
    with pytest.raises(DivergenceError):
        backend.fit(MODEL, short(backend), replace(DATA, labels=DATA.labels | {"price": price}), checkpoint=tmp_path)


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as found:
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        assert found.received is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["eager", "step", "epoch"])
def test_where_python_loops_over_the_steps_it_waits_for_few(backend, monkeypatch, tmp_path, execution):
    train, step = short(backend, batch_size=1, execution=execution), 36 if execution == "epoch" else 32
    with monkeypatch.context() as patch:
        signalled(backend, patch, 1, signal.SIGTERM)
        with pytest.raises(SystemExit):
            backend.fit(MODEL, train, DATA, checkpoint=tmp_path)
    assert steps_saved(tmp_path) == [step]
    resumed = backend.fit(MODEL, train, DATA, checkpoint=tmp_path, resume=True)
    assert_same_run(resumed, backend.fit(MODEL, train, DATA))


def test_without_a_folder_signals_are_left_alone(backend, monkeypatch):
    signalled(backend, monkeypatch, 1, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        backend.fit(MODEL, short(backend), DATA)


def test_a_thread_trains_without_touching_signals(backend, tmp_path):
    train, found, before = short(backend), [], signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: found.append(backend.fit(MODEL, train, DATA, checkpoint=tmp_path)))
    thread.start()
    thread.join()
    assert_same_run(found[0], backend.fit(MODEL, train, DATA))
    assert signal.getsignal(signal.SIGTERM) is before


LONG = """
import sys
from spec import load_backend
from tests.helpers.checkpoints import DATA, MODEL, short
backend = load_backend("torch")
backend.fit(MODEL, short(backend, epochs=100_000), DATA, checkpoint=sys.argv[1], save_every=2)
"""


@contextmanager
def process_with(folder, code):
    """A process of its own that runs `code` with the folder as its argument."""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def assert_taken(backend, folder):
    taken = rf"^checkpoint: expected a folder of this run's own, got '{re.escape(str(folder))}', which another run is"
    for resume in (False, True):
        with pytest.raises(ValueError, match=taken):
            backend.fit(MODEL, short(backend), DATA, checkpoint=folder, resume=resume)


@pytest.mark.slow
def test_a_process_of_its_own_exits_with_143(tmp_path):
    pytest.importorskip("torch")
    with process_with(tmp_path, LONG) as process:
        deadline = time.monotonic() + 60
        while not steps_saved(tmp_path):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert_taken(load_backend("torch"), tmp_path)
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 143
    newest = load_checkpoint(tmp_path).step
    where = f"{tmp_path}/step-{newest:08d}"
    assert said == (
        f"SIGTERM: {WAITING}\nSIGTERM: stopped after step {newest}, saved; the newest checkpoint is {where}\n"
    )


HOLD = """
import sys, time
from pathlib import Path
from shared_bottom.checkpoint.folder import CheckpointFolder
with CheckpointFolder(Path(sys.argv[1]), 3):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_dies_with_its_owner(backend, tmp_path):
    with process_with(tmp_path, HOLD) as process:
        assert process.stdout.readline() == "held\n"
        assert_taken(backend, tmp_path)
        process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
        backend.fit(MODEL, short(backend), DATA, checkpoint=tmp_path)


def test_two_runs_of_one_process_do_not_share_a_folder(backend, tmp_path):
    with CheckpointFolder(tmp_path, 3), pytest.raises(ValueError, match="which another run is using"):
        backend.fit(MODEL, short(backend), DATA, checkpoint=tmp_path)
    assert steps_saved(tmp_path) == []
    backend.fit(MODEL, short(backend), DATA, checkpoint=tmp_path)
