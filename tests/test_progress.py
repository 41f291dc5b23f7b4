"""What is shown of a run in progress: how often, what it says, and how far a resumed run is."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from backends.layout import layout_of
from shared_bottom.run.progress import Progress
from spec import DynamicWeightAverage, ModelSpec, PCGrad, TrainSpec
from tests.helpers.builders import rejection, tasks_of
from tests.helpers.runs import training


class Recorded:
    """As much of a run's state as is shown: each call does `steps` steps and sets the clock on by `seconds`."""

    def __init__(self, tasks, step=0):
        self.tasks, self.step, self.now = tasks, step, 0.0

    def newest_losses(self):
        return [0.5, *(0.1 * (i + 1) for i in range(self.tasks))] if self.step else None


def shown(mode, calls, *, tasks=2, step=0, terminal=False, epochs=4):
    """What stands on standard error after `calls`, pairs of (steps, seconds); 90 rows in steps of 20, so 5 an epoch."""
    model = ModelSpec(numeric=2, trunk=(4,), tasks=tasks_of("binary", tasks))
    state = Recorded(tasks, step)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    train = TrainSpec(batch_size=20, epochs=epochs)
    with Progress(mode, train, layout_of(model), 90, state, console=console, clock=lambda: state.now) as progress:
        batches = ({"learning_rate": np.empty(steps)} for steps, _ in calls)
        for (steps, seconds), _ in zip(calls, progress.track(batches), strict=True):
            state.step += steps
            state.now += seconds
    return console.file.getvalue()


def test_a_line_says_epoch_step_speed_time_left_and_losses():
    # The first call compiles: after it, the speed is 90 rows in 6 s; the last 2 of 20 steps have 20 and 10 rows.
    first, second, third = shown("lines", [(5, 100.0), (5, 6.0), (8, 0.5)]).splitlines()
    assert first == "epoch 1/4, step 5/20, 1 rows/s, 0:05:00 left, loss 0.5 (t0 0.1, t1 0.2)"
    assert second == "epoch 2/4, step 10/20, 15 rows/s, 0:00:12 left, loss 0.5 (t0 0.1, t1 0.2)"
    assert third == "epoch 4/4, step 18/20, 37 rows/s, 0:00:01 left, loss 0.5 (t0 0.1, t1 0.2)"


@pytest.mark.parametrize(("seconds", "steps"), [(5.0, [5, 10, 15, 20]), (3.0, [10, 20]), (0.1, [20])])
def test_lines_come_every_five_seconds_at_most_and_one_at_the_end(seconds, steps):
    lines = shown("lines", [(5, seconds)] * 4).splitlines()
    assert [int(line.split("step ")[1].split("/")[0]) for line in lines] == steps


def test_a_resumed_run_counts_what_was_done_before_but_not_in_its_speed():
    (line,) = shown("lines", [(1, 8.0)], step=15).splitlines()
    assert line.startswith("epoch 4/4, step 16/20, 2 rows/s, 0:00:28 left")  # 20 rows in 8 s; 70 to come


def test_a_run_that_ends_with_nothing_to_do_says_nothing():
    assert shown("lines", [], step=20) == ""


@pytest.mark.parametrize("tasks", [1, 2, 64])
def test_the_bar_fits_and_shows_the_losses_of_the_last_call(tasks):
    text = shown("auto", [(5, 1.0)] * 4, tasks=tasks, terminal=True)
    pace, losses = [line for line in text.splitlines() if "epoch" in line or "loss" in line][-2:]
    assert pace.rstrip().endswith("epoch 4/4, step 20/20, 90 rows/s, 0:00:00 left")
    losses = losses.strip()
    assert losses.startswith("loss 0.5 (t0 0.1")
    assert losses.endswith({1: "(t0 0.1)", 2: "t1 0.2)", 64: "+55)"}[tasks])
    assert max(len(line.rpartition("\r")[2]) for line in text.splitlines()) <= 100 + len("\x1b[2K")


@pytest.mark.parametrize(("mode", "terminal"), [("none", True), ("none", False), ("auto", False)])
def test_silence(mode, terminal):
    assert shown(mode, [(5, 100.0)] * 4, terminal=terminal) == ""


class TestFit:
    def test_lines_on_standard_error(self, backend, model, data, capfd):
        fitted = backend.fit(model, training(backend), data, progress="lines")
        out, err = capfd.readouterr()
        assert out == ""
        (line,) = [line for line in err.splitlines() if line.startswith("epoch")]
        assert line.startswith("epoch 2/2, step 6/6, ")
        assert f"loss {fitted.history.step_loss[-1]:.5g} (" in line
        for task, losses in fitted.history.task_loss.items():
            assert f"{task} {losses[-1]:.4g}" in line

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_standard_error_that_is_full_or_closed_costs_no_run(self, backend, model, data, monkeypatch):
        seen = backend.fit(model, training(backend), data)
        with Path("/dev/full").open("wb", buffering=0) as full:
            for stream in (io.TextIOWrapper(full, write_through=True), None):
                monkeypatch.setattr(sys, "stderr", stream)
                unseen = backend.fit(model, training(backend), data, progress="lines")
                np.testing.assert_array_equal(unseen.history.step_loss, seen.history.step_loss)

    def test_after_resuming(self, backend, model, data, tmp_path, capfd):
        train = training(backend)
        backend.fit(model, train, data, checkpoint=tmp_path)
        backend.fit(model, replace(train, epochs=3), data, checkpoint=tmp_path, resume=True, progress="lines")
        assert capfd.readouterr().err.startswith("epoch 3/3, step 9/9, ")

    @pytest.mark.parametrize("balancing", [DynamicWeightAverage(), PCGrad()], ids=["dwa", "pcgrad"])
    def test_with_balancing_the_losses_are_shown_and_nothing_else(self, backend, model, data, capfd, balancing):
        fitted = backend.fit(model, training(backend, balancing=balancing), data, progress="lines")
        line = capfd.readouterr().err.splitlines()[-1]
        assert line.count("loss") == 1
        for task, losses in fitted.history.task_loss.items():
            assert f"{task} {losses[-1]:.4g}" in line

    @pytest.mark.parametrize("mode", ["bar", "", None, True])
    def test_another_word_is_rejected(self, backend, model, data, mode):
        said = rejection(backend.fit, model, training(backend), data, progress=mode)
        assert said == f"progress: expected one of auto, lines, none, got {mode!r}"
