"""The history of a long run in segments: written once, linked to, each checkpoint whole without the others."""

import errno
import json
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from shared_bottom.checkpoint import segments
from shared_bottom.checkpoint.folder import load_checkpoint
from tests.helpers import segments as shared
from tests.helpers.checkpoints import DATA, MODEL, as_of, assert_same_run, short, steps_saved
from tests.helpers.forged import digest
from tests.helpers.segments import BEFORE, EPOCHS, HISTORY, NEWEST, fit_in_segments

length, alone, folder = shared.length, shared.alone, shared.folder


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[:4] in ("hist", "epoc"))


def test_a_checkpoint_has_the_full_segments_as_files_and_the_rest_with_its_tensors(alone):
    folder, fitted = alone[0] / NEWEST, alone[1]
    assert files(folder) == [EPOCHS, *(f"history-{i:06d}.safetensors" for i in range(5))]
    curves = {"step_loss": fitted.history.step_loss}
    for task in MODEL.tasks:
        curves[f"task_loss.{task.name}"] = fitted.history.task_loss[task.name]
        curves[f"task_weight.{task.name}"] = fitted.history.task_weight[task.name]
    for i in range(5):
        arrays = load_file(folder / f"history-{i:06d}.safetensors")
        assert arrays.keys() == {f"history.{name}" for name in curves}
        for name, curve in curves.items():
            np.testing.assert_array_equal(arrays[f"history.{name}"], curve[4 * i : 4 * i + 4], strict=True)
    records = load_file(folder / EPOCHS)
    np.testing.assert_array_equal(records["epochs.loss"], [epoch["loss"] for epoch in fitted.history.epochs])
    np.testing.assert_array_equal(records["epochs.monitor"], [epoch["monitor"] for epoch in fitted.history.epochs])
    rest = load_file(alone[0] / BEFORE / "tensors.safetensors")
    np.testing.assert_array_equal(rest["history.step_loss"], curves["step_loss"][12:15])
    np.testing.assert_array_equal(rest["epochs.loss"], records["epochs.loss"][:3])
    text = json.loads((folder / "checkpoint.json").read_text())
    assert text["segment_length"] == 4
    assert text["segments"] == {file: digest(folder / file) for file in files(folder)}


def test_a_segment_is_written_once_and_linked_to(alone):
    folder = alone[0]
    for file in files(folder / BEFORE):
        assert (folder / BEFORE / file).samefile(folder / NEWEST / file)
    assert (folder / NEWEST / HISTORY).stat().st_nlink == 3, "of steps 10, 15 and 20"


def test_what_a_save_writes_does_not_grow_with_the_run(backend, monkeypatch, tmp_path):
    """Every fourth epoch ends a segment of the steps, and every twentieth one of the epochs."""
    original, written = segments.write_flushed, []

    def write_flushed(path, content):
        written.append(path.name)
        return original(path, content)

    monkeypatch.setattr(segments, "write_flushed", write_flushed)
    monkeypatch.setattr(segments, "LENGTH", 20)
    backend.fit(MODEL, short(backend, epochs=40), DATA, checkpoint=tmp_path, keep=40)
    steps = [f"history-{i:06d}.safetensors" for i in range(10)]
    assert written == [*steps[:5], EPOCHS, *steps[5:], "epochs-000001.safetensors"]
    early, late = (tmp_path / name / "tensors.safetensors" for name in ("step-00000015", "step-00000115"))
    assert early.stat().st_size == late.stat().st_size


@pytest.mark.parametrize("to", [1, 3, 4, 100])
def test_a_run_resumed_with_segments_of_any_length_is_the_same_run(backend, tmp_path, monkeypatch, to):
    whole = fit_in_segments(tmp_path / "alone", backend, save_every=3, keep=99)
    monkeypatch.setattr(segments, "LENGTH", to)
    for step in (3, 8, 15, 18, 20):
        resumed = as_of(tmp_path / "alone", step, tmp_path / str(step))
        assert_same_run(fit_in_segments(resumed, backend, save_every=3, keep=99, resume=True), whole)
        saved = load_checkpoint(resumed)
        assert saved.step == 20
        np.testing.assert_array_equal(saved.history.step_loss, whole.history.step_loss)


def test_a_resumed_run_links_to_what_there_is(folder):
    shutil.rmtree(folder / NEWEST)
    fit_in_segments(folder, resume=True)
    for file in files(folder / BEFORE):
        assert (folder / BEFORE / file).samefile(folder / NEWEST / file)


def test_a_checkpoint_is_whole_without_the_others(alone, folder, tmp_path):
    copied = shutil.copytree(folder / NEWEST, tmp_path / "copied" / NEWEST)
    shutil.rmtree(folder)
    assert_same_run(fit_in_segments(copied.parent, resume=True), alone[1])
    np.testing.assert_array_equal(load_checkpoint(copied).history.step_loss, alone[1].history.step_loss)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK, errno.EXDEV])
def test_where_the_file_system_has_no_links_each_checkpoint_has_files_of_its_own(alone, tmp_path, monkeypatch, number):
    def link(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    assert_same_run(fit_in_segments(tmp_path), alone[1])
    assert steps_saved(tmp_path) == steps_saved(alone[0])
    for file in files(tmp_path / NEWEST):
        assert (tmp_path / NEWEST / file).stat().st_nlink == 1


def test_where_somebody_removed_the_earlier_checkpoint_the_next_one_is_whole(backend, tmp_path):
    original = backend.predictor

    def predictor(*arguments, **options):  # of the validation rows, before the end of each epoch is saved
        for path in tmp_path.glob("step-*"):
            shutil.rmtree(path)
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "predictor", predictor)
        fitted = fit_in_segments(tmp_path, backend)
    assert steps_saved(tmp_path) == [20]
    assert_same_run(fit_in_segments(tmp_path, backend, resume=True), fitted)
