"""Starts the bench as a command, in a process of its own or in this one, and looks at what it wrote."""

import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from bench.__main__ import main
from bench.results import read_run
from spec import Experiment, ModelSpec, Schedule, TaskSpec, TrainSpec

QUICK = ("--repetitions", "1")
SMALL = Experiment(
    model=ModelSpec(
        numeric=3,
        trunk=(4,),
        tasks=(
            TaskSpec(name="click", kind="binary", hidden=(4,)),
            TaskSpec(name="region", kind="multiclass", outputs=3, weight=0.5),
            TaskSpec(name="span", kind="regression"),
        ),
    ),
    train=TrainSpec(clip_norm=0.1, schedule=Schedule(kind="linear")),
)
"""Every kind of task, and what a loop by hand may forget."""


class Done(NamedTuple):
    """What a command has left."""

    code: int
    out: str
    err: str


def alone(*arguments, code=None, **variables):
    """Runs the command in a process of its own, or `code` in its place; a variable that is None is taken out of its
    environment.
    """
    command = [sys.executable, *(["-c", code] if code else ["-m", "bench"]), *map(str, arguments)]
    environment = {name: value for name, value in (os.environ | {"COLUMNS": "100"} | variables).items() if value}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return Done(done.returncode, done.stdout, done.stderr)


def in_this_process(monkeypatch, capsys):
    """A function that runs the command here, where the frameworks are loaded and keep their threads."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("bench.__main__.limit_threads", lambda threads: None)
    monkeypatch.setattr("bench.__main__.signal.signal", lambda number, handler: None)
    monkeypatch.setattr("bench.timing.SECONDS", 0.01)
    monkeypatch.setattr("bench.timing.MATMUL", 256)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["bench", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code, *capsys.readouterr())

    return run


def measured(bench, folder, *arguments, **variables):
    """The run that a command wrote, its output and its picture looked at. bench: one of the above."""
    done = bench(*arguments, *QUICK, "--json", folder / "run.json", "--plot", folder / "run.png", **variables)
    assert done.code == 0, done.err
    assert all(len(line.rstrip()) <= 100 for line in done.out.splitlines())
    run = read_run("--json", folder / "run.json")
    assert (folder / "run.png").read_bytes().startswith(b"\x89PNG")
    assert run.disagreeing() == []
    assert not run.interrupted
    for row in run.rows:
        assert len(row.step_microseconds) == 1
        assert min(row.step_microseconds) > 0
        assert row.first_call_seconds > 0
        assert row.execution in done.out
        assert row.host_bytes > 50e6 if sys.platform == "linux" else row.host_bytes is None
    return run, done.out


def trained_by(run):
    """Process, backend and execution of each row but Keras's."""
    return [(row.process, row.backend, row.execution) for row in run.rows if not row.execution.startswith("Keras")]
