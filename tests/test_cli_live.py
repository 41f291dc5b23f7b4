"""What is to be seen of a run in its folder while it goes on, and how it ended."""

import errno
import json
import os
import signal
import socket
import sys

import pytest

from shared_bottom.cli import live
from shared_bottom.run.loop import validate
from spec import load_backend
from tests.helpers.cli import contents, run, without_plots, write_experiment
from tests.helpers.joining import epochs_watched
from tests.helpers.processes import together
from tests.helpers.runs import signalled

FLAGS = ("--backend", "torch", "--train.execution", "eager", "--train.epochs", "4", "--quiet")


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    pytest.importorskip("torch")
    without_plots(monkeypatch)


@pytest.fixture
def shop(tmp_path):
    return write_experiment(tmp_path / "data")


def status(out):
    return json.loads((out / "status.json").read_text())


def epochs(out):
    return [json.loads(line)["epoch"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def scalars(out):
    """How many steps TensorBoard's file has, and of how many epochs it has the metrics."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(out), size_guidance={"scalars": 0})
    read.Reload()
    present = read.Tags()["scalars"]
    return tuple(len(read.Scalars(tag)) if tag in present else 0 for tag in ("loss/total", "weight/click"))


@pytest.fixture
def at_epochs(monkeypatch):
    """Calls a function with what is to be seen at each epoch's end, before the epoch itself counts."""

    def install(look):
        def looked(plan, record, entry):
            look()
            validate(plan, record, entry)

        monkeypatch.setattr("shared_bottom.run.loop.validate", looked)

    return install


def test_files_grow_with_each_epoch(shop, tmp_path, monkeypatch, at_epochs):
    out, seen = tmp_path / "run", []
    monkeypatch.setattr("shared_bottom.cli.live.SHORT", 0.0)
    at_epochs(lambda: seen.append((epochs(out), status(out), scalars(out))))
    run("fit", shop, "--out", out, *FLAGS, "--tensorboard")
    assert [lines for lines, _, _ in seen] == [[], [1], [1, 2], [1, 2, 3]]
    assert [said["epoch"] for _, said, _ in seen] == [0, 1, 2, 3]
    assert [said["step"] for _, said, _ in seen] == [0, 5, 10, 15]
    assert [numbers for _, _, numbers in seen] == [(0, 0), (5, 1), (10, 2), (15, 3)]
    said = seen[-1][1]
    assert (said["state"], said["steps"], said["epochs"]) == ("running", 20, 4)
    assert (said["process"], said["host"], said["backend"]) == (os.getpid(), socket.gethostname(), "torch")
    assert 0 <= said["seconds_left"] < 60
    said = status(out)
    assert (said["state"], said["reason"], said["step"], said["epoch"]) == ("finished", None, 20, 4)
    assert said["seconds_left"] == 0
    assert epochs(out) == [1, 2, 3, 4]
    assert scalars(out) == (20, 4)


def test_within_an_epoch_the_status_is_written_every_few_seconds(shop, tmp_path, monkeypatch, at_epochs):
    out, seen = tmp_path / "run", []
    monkeypatch.setattr("shared_bottom.cli.live.PAUSE", 0.0)
    monkeypatch.setattr("shared_bottom.run.loop.SHORT_CALL", 2)
    at_epochs(lambda: seen.append(status(out)["step"]))
    run("fit", shop, "--out", out, *FLAGS)
    assert seen == [5, 10, 15, 20]


def test_a_run_that_was_stopped_and_resumed_has_no_epoch_twice(shop, tmp_path, monkeypatch):
    out, backend = tmp_path / "run", load_backend("torch")
    with monkeypatch.context() as patch:
        signalled(backend, patch, 3, signal.SIGTERM)
        run("fit", shop, "--out", out, *FLAGS, "--tensorboard", code=143)
    stopped = status(out)
    assert (stopped["state"], stopped["seconds_left"]) == ("stopped", None)
    assert epochs(out) == [*range(1, stopped["epoch"] + 1)]
    assert stopped["epoch"] > 0
    run("fit", "--resume", "--out", out, "--quiet")
    assert status(out)["state"] == "finished"
    assert epochs(out) == [1, 2, 3, 4]
    assert scalars(out) == (20, 4)


def test_a_run_that_failed_says_why(shop, tmp_path, capsys):
    out = tmp_path / "run"
    optimizer = ("--train.optimizer.kind", "sgd", "--train.optimizer.learning-rate", "1e30")
    run("fit", shop, "--out", out, *FLAGS, *optimizer, code=1)
    said = status(out)
    assert (said["state"], said["epoch"]) == ("failed", 0)
    assert f"error: {said['reason']}\n" == capsys.readouterr().err


def test_a_run_that_comes_to_nothing_leaves_none_of_it(shop, tmp_path, monkeypatch):
    def fails(*_):
        assert {"status.json", "metrics.jsonl"} <= {*contents(tmp_path / "run")}
        raise MemoryError

    monkeypatch.setattr("shared_bottom.run.loop.validate", fails)
    run("fit", shop, "--out", tmp_path / "run", *FLAGS, "--tensorboard", code=2)
    assert "run" not in contents(tmp_path)


@pytest.mark.filterwarnings("always:.*what is to be seen of the run")
def test_a_run_goes_on_where_its_progress_cannot_be_written(shop, tmp_path, capsys, at_epochs):
    out, seen = tmp_path / "run", []

    def hinder():
        if not (out / "status.json").is_dir():
            (out / "status.json").unlink()
            (out / "status.json").mkdir()

    def look():
        hinder()
        seen.append(epochs(out))

    at_epochs(look)
    run("fit", shop, "--out", out, *FLAGS)
    warned, *more = capsys.readouterr().err.splitlines()
    assert warned.startswith(f"warning: {out}/status.json: Is a directory: what is to be seen of the run")
    assert more == []
    assert seen == [[], [1], [1, 2], [1, 2, 3]], "the epochs are written all the same"


@pytest.mark.filterwarnings("always:.*what is to be seen of the run")
@pytest.mark.parametrize("place", ["metrics.jsonl", "events.out.tfevents.history"])
def test_a_disk_that_is_full_for_a_while_leaves_no_half_line(shop, tmp_path, monkeypatch, capsys, place):
    pytest.importorskip("tensorboard")
    out, whole = tmp_path / "run", live.append

    def half(path, content):
        if path.name == place:
            whole(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        whole(path, content)

    monkeypatch.setattr(live, "append", half)
    run("fit", shop, "--out", out, *FLAGS, "--tensorboard")
    (warned,) = capsys.readouterr().err.splitlines()
    assert warned.startswith(f"warning: {out}/{place}: No space left on device: what is to be seen of the run")
    assert status(out)["state"] == "finished"
    assert epochs(out) == [1, 2, 3, 4]
    assert scalars(out) == (20, 4)


@pytest.mark.filterwarnings("always:.*stays as it is")
def test_a_resumed_run_goes_on_without_tensorboard(shop, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    run("fit", shop, "--out", out, *FLAGS, "--tensorboard")
    before = (out / "events.out.tfevents.history").read_bytes()
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    capsys.readouterr()
    run("fit", "--resume", "--out", out, "--quiet", "--train.epochs", "5")
    (warned,) = capsys.readouterr().err.splitlines()
    assert warned.startswith(
        f"warning: {out}/events.out.tfevents.history: stays as it is: TensorBoard's event files need"
    )
    assert (out / "events.out.tfevents.history").read_bytes() == before
    assert epochs(out) == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_of_several_processes_the_first_alone_is_watched():
    first, other = together(2, epochs_watched, "torch")
    assert first > 0
    assert other == 0
