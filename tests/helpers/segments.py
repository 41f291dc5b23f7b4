"""What the tests of the history in segments share: a run that has many, and fixtures, which a test file names."""

import os
import shutil
from pathlib import Path

import pytest

from shared_bottom.checkpoint import segments
from spec import DynamicWeightAverage, EarlyStopping, load_backend
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, short

NEWEST, BEFORE = "step-00000020", "step-00000015"
HISTORY, EPOCHS = "history-000001.safetensors", "epochs-000000.safetensors"


@pytest.fixture(autouse=True)
def length(monkeypatch):
    """Four steps or epochs a segment."""
    monkeypatch.setattr(segments, "LENGTH", 4)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of a run that nobody disturbed, and what `fit` returned."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "LENGTH", 4)
        return folder, fit_in_segments(folder)


@pytest.fixture
def folder(alone, tmp_path):
    """A copy of that folder, to be changed."""
    return copied_with_links(alone[0], tmp_path / "run")


def fit_in_segments(folder, backend=None, **options):
    """A run of four epochs whose history has all that a history can have."""
    backend = backend or load_backend("torch")
    stopping = EarlyStopping(monitor="click", metric="auc", patience=9)
    train = short(backend, epochs=4, early_stopping=stopping, balancing=DynamicWeightAverage())
    return backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=folder, **({"keep": 9} | options))


def copied_with_links(folder, to):
    """A copy of a run's folder that shares the segments with it, as the run's checkpoints do."""

    def copy(source, target):
        shared = Path(source).name.startswith(("history-", "epochs-"))
        (os.link if shared else shutil.copy2)(source, target)

    return shutil.copytree(folder, to, copy_function=copy)
