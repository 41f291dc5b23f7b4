"""fit in several processes of which one fails, dies or is stopped: the others end, and say it in one line."""

import os
import re
import signal
import time

import pytest

from backends.engines import free_address
from shared_bottom.cli.launch import environment_of
from tests.helpers.checkpoints import steps_saved
from tests.helpers.cli import contents, run, write_experiment
from tests.helpers.launched import ended, flags, started, together, torchrun, wait_for_checkpoint


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_experiment(tmp_path_factory.mktemp("data"))


def test_what_all_see_is_said_once(file, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    arguments = ["fit", file, "--out", tmp_path / "run", *flags("torch")]
    with together(arguments, arguments) as processes:
        first, other = map(ended, processes)
    expected = f"error: --out: expected a new or an empty folder, or --resume, got {str(tmp_path / 'run')!r}\n"
    assert first == (2, "", expected)
    assert other == (2, "", "")


def test_what_one_alone_sees_is_said_by_process_0(file, tmp_path):
    arguments = ["fit", file, "--out", tmp_path / "run", *flags("jax"), "--quiet"]
    wrong = ["--data.train", tmp_path / "nowhere.csv"]
    with together(arguments, [*arguments, *wrong]) as processes:
        pid = processes[1].pid
        first, other = map(ended, processes)
    assert (first.code, first.out, first.err.count("\n")) == (2, "", 1)
    assert first.err.startswith("error: process 1 (")
    assert f"pid {pid}): " in first.err
    assert str(wrong[1]) in first.err
    assert other == (2, "", "")
    assert not (tmp_path / "run").exists()


def test_folders_that_differ(file, tmp_path):
    pytest.importorskip("torch")
    options = ["fit", file, *flags("torch"), "--quiet", "--out"]
    with together([*options, tmp_path / "one"], [*options, tmp_path / "other"]) as processes:
        first, other = map(ended, processes)
    got = f"--out: {tmp_path / 'one'} in process 0, {tmp_path / 'other'} in process 1"
    assert first == (2, "", f"error: expected the same in all processes at the beginning, got {got}\n")
    assert other == (2, "", "")
    assert contents(tmp_path) == []


def test_an_end_that_cannot_be_saved(file, tmp_path):
    pytest.importorskip("torch")
    arguments = ["fit", file, "--out", tmp_path / "run", *flags("torch"), "--quiet"]
    with together(arguments, arguments, module="tests.helpers.full_disk") as processes:
        first, other = map(ended, processes)
    *warnings, last = first.err.splitlines()
    assert (first.code, first.out, {line.partition(":")[0] for line in warnings}) == (1, "", {"warning"})
    assert "expected the checkpoint of the run's end, which could not be saved; the rest is complete" in last
    assert other == (1, "", "")
    assert contents(tmp_path / "run" / "model")


def test_a_loss_that_is_not_finite(file, tmp_path):
    diverging = ("--train.optimizer.kind", "sgd", "--train.optimizer.learning-rate", "1e38")
    arguments = ["fit", file, "--out", tmp_path / "run", *flags("jax", *diverging), "--quiet"]
    with together(arguments, arguments) as processes:
        first, other = map(ended, processes)
    assert (first.code, first.out, first.err.count("\n")) == (1, "", 1)
    assert first.err.startswith("error: loss: expected finite values, got nan of task")
    assert other == (1, "", "")
    assert "report.html" in contents(tmp_path / "run")


def test_who_waits_for_one_that_never_comes_says_so(file, tmp_path):
    alone = [(backend, number) for backend in ("jax", "torch") for number in (0, 1)]
    for backend, _ in alone:
        pytest.importorskip(backend)
    options = ("--out", tmp_path / "run", "--timeout", "3", "--quiet")
    commands = [["shared_bottom", "fit", file, *options, *flags(backend)] for backend, _ in alone]
    environments = [environment_of(number, 2, free_address()) for _, number in alone]
    began = time.monotonic()
    with started(*commands, environments=environments) as processes:
        for process in processes:
            code, out, err = ended(process)
            assert (code, out, err.count("\n")) == (2, "", 1), err
            assert err.startswith("error: processes: expected all to come within 3 s: ")
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ((), r"loss: expected finite values, got \S+ of task .*"),
        (("--data.train", "/nowhere.csv"), r"process 1 \(.*, pid \d+\): .*/nowhere\.csv.*"),
    ],
    ids=["a loss that is not finite", "what one alone sees"],
)
def test_torchrun_which_ends_all_when_one_has_ended(file, tmp_path, only, said):
    pytest.importorskip("torch")
    diverging = ("--train.optimizer.kind", "sgd", "--train.optimizer.learning-rate", "1e38")
    arguments = ["fit", file, "--out", tmp_path / "run", *flags("torch", *diverging), "--quiet", "only", *only]
    with started(torchrun(*arguments, module="tests.helpers.late")) as (process,):
        code, out, err = ended(process)
    assert code != 0
    assert out == ""
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert re.fullmatch(f"error: {said}", line)
    assert (tmp_path / "run" / "report.html").exists() == (not only)


@pytest.mark.filterwarnings("ignore:train.epochs:UserWarning")  # fewer than the run had when it began
@pytest.mark.parametrize(
    ("backend", "number", "how", "said", "most"),
    [
        ("jax", 0, signal.SIGKILL, "has died", 15),
        ("torch", 1, signal.SIGKILL, "has died", 15),
        ("jax", 1, signal.SIGSTOP, "gave no sign of life for 8 s", 8 + 15),
    ],
)
def test_one_that_is_gone(file, tmp_path, backend, number, how, said, most):
    pytest.importorskip(backend)
    out, endless = tmp_path / "run", ("--train.epochs", "100000", "--quiet", "--timeout", "8")
    arguments = ["fit", file, "--out", out, *flags(backend, *endless)]
    with together(arguments, arguments) as processes:
        wait_for_checkpoint(out, processes)
        os.kill(processes[number].pid, how)
        began = time.monotonic()
        left = ended(processes[1 - number])
        seconds = time.monotonic() - began
    assert (left.code, left.out) == (1, "")
    assert left.err.startswith(f"error: process {number} (")
    assert left.err.endswith(f"pid {processes[number].pid}) {said}\n")
    assert left.err.count("\n") == 1
    assert seconds < most
    last = steps_saved(out / "checkpoints")[-1]
    if how == signal.SIGKILL and number == 0:
        epochs = str(last // 5 + 1)  # of five steps
        run("fit", file, "--out", out, "--resume", *flags(backend, "--train.epochs", epochs), "--quiet")
        assert steps_saved(out / "checkpoints")[-1] == last + 5
