"""What the tests of a run's folder share: a table, what the folder has in the end, and a moment to intervene."""

import pytest

from tests.helpers.cli import without_plots, write_experiment

READING = "shared_bottom.cli.fit.read_table"
SAVING = "shared_bottom.checkpoint.folder.write_checkpoint"
FLAGS = ("--backend", "torch", "--train.execution", "eager", "--quiet")
WRITTEN = ["checkpoints", "experiment.toml", "metrics.jsonl", "model", "plots", "report.html", "status.json"]
"""What the folder of a run has in the end."""


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    pytest.importorskip("torch")
    without_plots(monkeypatch)


@pytest.fixture
def shop(tmp_path):
    return write_experiment(tmp_path / "data")


def at_first_call(monkeypatch, name, action):
    """Does something when a function of this dotted name is first called, and then what the function does."""
    path, _, attribute = name.rpartition(".")
    original = getattr(__import__(path, fromlist=[attribute]), attribute)

    def first(*args, **options):
        monkeypatch.setattr(name, original)
        action()
        return original(*args, **options)

    monkeypatch.setattr(name, first)
