"""launch: several processes of one machine, their signals and their exit code."""

import os
import signal
import subprocess
import sys
import time

import pytest

from shared_bottom.cli import launch
from tests.helpers.cli import error, run
from tests.helpers.launched import ended, started

SLEEPS = "import time; time.sleep(60)"
COUNTS = """
import signal, time
came = []
signal.signal(signal.SIGTERM, lambda *_: came.append(1))
print("ready", flush=True)
while not came:
    time.sleep(0.01)
time.sleep(1.0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
raise SystemExit(10 + len(came))
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "0", "fit", "x.toml"), "-n: expected a number of processes of 1 or more, got 0"),
        (("-n", "-2", "fit", "x.toml"), "-n: expected a number of processes of 1 or more, got -2"),
        (("-n", "2"), "launch: expected a command to run, such as fit, got none"),
        (("-n", "two", "fit"), "-n/--processes: expected an integer, got 'two'"),
        (("-n", "2", "fit", "x.toml", "--timeout", "soon"), "--timeout: expected a number, got 'soon'"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, arguments, message):
    assert error(capsys, "launch", *arguments) == message


def test_processes_are_numbered_and_share_the_cores(monkeypatch):
    monkeypatch.setattr(launch, "cores", lambda: list(range(8)))
    for name in ("OMP_NUM_THREADS", "PJRT_NPROC"):
        monkeypatch.delenv(name, raising=False)
    one, other = (launch.environment_of(number, 3, "127.0.0.1:4000") for number in (0, 2))
    assert {name: (one[name], other[name]) for name in one.keys() - os.environ.keys()} == {
        "MASTER_ADDR": ("127.0.0.1", "127.0.0.1"),
        "MASTER_PORT": ("4000", "4000"),
        "WORLD_SIZE": ("3", "3"),
        "RANK": ("0", "2"),
        "LOCAL_RANK": ("0", "2"),
        "JAX_COORDINATOR_ADDRESS": ("127.0.0.1:4000", "127.0.0.1:4000"),
        "JAX_NUM_PROCESSES": ("3", "3"),
        "JAX_PROCESS_ID": ("0", "2"),
        "JAX_LOCAL_DEVICE_IDS": ("0", "2"),
        "OMP_NUM_THREADS": ("2", "2"),
        "PJRT_NPROC": ("2", "2"),
    }
    assert launch.environment_of(0, 9, "127.0.0.1:4000")["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert launch.environment_of(0, 3, "127.0.0.1:4000")["OMP_NUM_THREADS"] == "5"


@pytest.fixture
def start():
    """Starts Python programs, which are killed at the end."""
    children = []

    def started(*programs):
        for program in programs:
            children.append(subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE))
        return children

    yield started
    for child in children:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    ("programs", "code"),
    [
        (["", "", ""], 0),
        (["raise SystemExit(3)", "raise SystemExit(3)"], 3),
        (["", "raise SystemExit(2)"], 2),
        (["import os; os.kill(os.getpid(), 9)", "import time; time.sleep(1); raise SystemExit(1)"], 137),
    ],
)
def test_the_exit_code_is_that_of_the_first_to_fail(start, programs, code):
    assert launch.wait(start(*programs), [], 60) == code


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_is_handed_on_to_each_as_often_as_it_came(start, times):
    children = start(COUNTS, COUNTS)
    for child in children:
        assert child.stdout.readline() == b"ready\n"
    received, count = [], iter(range(times))

    def later(number, frame):
        received.append(signal.SIGTERM)
        if next(count) < times - 1:
            signal.setitimer(signal.ITIMER_REAL, 0.3)

    before = signal.signal(signal.SIGALRM, later)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert launch.wait(children, received, 60) == 10 + times
    finally:
        signal.signal(signal.SIGALRM, before)
    assert [child.returncode for child in children] == [10 + times] * 2


def test_one_that_cannot_end_is_killed_once_another_has_failed(start, capsys):
    children = start(SLEEPS, "raise SystemExit(4)")
    os.kill(children[0].pid, signal.SIGSTOP)
    began = time.monotonic()
    assert launch.wait(children, [], 0.5) == 4
    assert time.monotonic() - began < 10
    assert children[0].returncode == -signal.SIGKILL
    assert capsys.readouterr().err == "error: process 0: killed, 0.5 s after another one had failed\n"


@pytest.mark.parametrize(("rank", "count"), [("RANK", "WORLD_SIZE"), ("JAX_PROCESS_ID", "JAX_NUM_PROCESSES")])
def test_a_command_that_does_not_train_is_run_by_process_0_alone(file, monkeypatch, capsys, rank, count):
    monkeypatch.setenv(count, "2")
    monkeypatch.setenv(rank, "0")
    run("describe", file)
    assert "click" in capsys.readouterr().out
    monkeypatch.setenv(rank, "1")
    run("describe", file)
    run("describe", "none.toml")
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_one_process_may_be_launched(file):
    commands = [["shared_bottom", *launched, "describe", file] for launched in ([], ["launch", "-n", "1"])]
    with started(*commands) as processes:
        alone, launched = map(ended, processes)
    assert alone.code == 0
    assert launched == alone
