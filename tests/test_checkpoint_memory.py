"""Saving takes no second copy of what is saved, and reading one copy of what is read, however large the tables."""

import tracemalloc

import pytest

from shared_bottom import arrays
from shared_bottom.checkpoint.folder import load_checkpoint
from shared_bottom.checkpoint.saver import CheckpointSaver
from shared_bottom.folder import write_trained
from shared_bottom.trained import Trained
from spec import CategoricalFeature, ModelSpec, TaskSpec, initial_params, presets
from tests.helpers.runs import training

MODEL = ModelSpec(
    numeric=1,
    categorical=(CategoricalFeature(name="user", vocabulary=200_000, dimension=16),),
    trunk=(4,),
    tasks=(TaskSpec(name="click", kind="binary"),),
)
TABLE = 200_000 * 16 * 4
"""Bytes. Adam has two slots for it."""
BESIDES = 8 * 2**20
"""Bytes that may come besides, such as what a million numbers at a time are compared with."""


class Peak:
    """The bytes that NumPy and Python had besides those of the beginning, at most."""

    def __enter__(self):
        tracemalloc.start()
        return self

    def __exit__(self, *_):
        self.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


@pytest.fixture
def saved(backend, tmp_path, monkeypatch):
    """The folder of a run, and the peaks of its saves."""
    peaks, original = [], CheckpointSaver.after_epoch

    def after_epoch(self, record):
        with Peak() as peak:
            original(self, record)
        peaks.append(peak.bytes)

    monkeypatch.setattr(CheckpointSaver, "after_epoch", after_epoch)
    train = training(backend, embedding_updates="lazy")
    backend.fit(MODEL, train, presets.random_data(MODEL, 8), checkpoint=tmp_path)
    return tmp_path, peaks


def test_of_a_checkpoint(saved):
    folder, peaks = saved
    assert len(peaks) == 2
    assert max(peaks) < BESIDES
    with Peak() as reading:
        load_checkpoint(folder)
    assert 3 * TABLE < reading.bytes < 3 * TABLE + arrays.MARGIN + BESIDES, "the margin is asked for, and given back"


def test_of_a_trained_model(tmp_path, monkeypatch):
    trained = Trained(columns=None, model=MODEL, params=initial_params(MODEL))
    monkeypatch.setattr("shared_bottom.folder.to_json", lambda spec: "{}")
    with Peak() as writing:
        write_trained(tmp_path, trained)
    assert writing.bytes < BESIDES
    assert (tmp_path / "model" / "params.safetensors").stat().st_size > TABLE
