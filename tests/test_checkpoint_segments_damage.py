"""A damaged or forged segment of the history is named like any other damage, and an earlier checkpoint is used."""

from pathlib import Path

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import CheckpointWarning, load_checkpoint
from shared_bottom.checkpoint.format import CheckpointError
from tests.helpers import segments as shared
from tests.helpers.checkpoints import assert_same_run, steps_saved
from tests.helpers.forged import edited, other_json, other_tensors
from tests.helpers.segments import BEFORE, EPOCHS, HISTORY, NEWEST, fit_in_segments

FIRST = "step-00000010"
length, alone, folder = shared.length, shared.alone, shared.folder


def another(path, change):
    """In place of the file, so that other links to it keep what they had."""
    content = change(path.read_bytes())
    path.unlink()
    path.write_bytes(content)


DAMAGES = {
    "missing": Path.unlink,
    "empty": lambda path: another(path, lambda content: b""),
    "cut": lambda path: another(path, lambda content: content[:-1]),
    "longer": lambda path: another(path, lambda content: content + b"\0"),
    "a bit": lambda path: another(path, lambda content: content[:-1] + bytes([content[-1] ^ 1])),
    "a bit of its header": lambda path: another(path, lambda content: content[:30] + b"#" + content[31:]),
    "another segment": lambda path: another(path, lambda _: path.with_name("history-000000.safetensors").read_bytes()),
}


@pytest.mark.parametrize("file", [HISTORY, EPOCHS])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_segment_is_named_and_the_checkpoint_before_is_used(alone, folder, damage, file):
    damage(folder / NEWEST / file)
    with pytest.raises(CheckpointError, match=rf"{NEWEST}: {file}: ") as caught:
        load_checkpoint(folder / NEWEST)
    assert "\n" not in str(caught.value)
    with pytest.warns(CheckpointWarning, match=rf"{file}: .* set aside as {NEWEST}\.damaged, .*{BEFORE} is used"):
        assert_same_run(fit_in_segments(folder, resume=True), alone[1])


def test_damage_of_a_file_that_several_link_to_is_theirs_and_an_earlier_one_is_used(alone, tmp_path):
    folder = tmp_path / "run"
    fit_in_segments(folder)
    path = folder / NEWEST / "history-000002.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.warns(CheckpointWarning, match=rf"history-000002.* set aside as .*, .*{FIRST} is used") as warned:
        assert_same_run(fit_in_segments(folder, resume=True), alone[1])
    assert len(warned) == 2
    assert steps_saved(folder) == [5, 10, 15, 20]
    assert load_checkpoint(folder).step == 20


@pytest.mark.parametrize("damage", [lambda content: content[:-1] + b"\xff", lambda content: b""], ids=["bits", "empty"])
def test_a_run_writes_a_segment_that_goes_bad_on_the_disk_anew(backend, tmp_path, damage):
    """Within as many saves as there are segments: from the damage at step 15 to the end, twice three."""
    whole = fit_in_segments(tmp_path / "whole", backend, save_every=1, keep=99)
    folder, original, epochs = tmp_path / "run", backend.predictor, []

    def predictor(*arguments, **options):  # of the validation rows, before the end of each epoch is saved
        epochs.append(None)
        if len(epochs) == 3:
            for path in (folder / "step-00000014").glob("history-*"):
                path.write_bytes(damage(path.read_bytes()))  # in its place, so that all links to it have it
        return original(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "predictor", predictor)
        assert_same_run(fit_in_segments(folder, backend, save_every=1, keep=99), whole)
    for step in (14, 15):
        with pytest.raises(CheckpointError, match=r"history-00000\d\.safetensors: "):
            load_checkpoint(folder / f"step-{step:08d}")
    for step in (18, 19, 20):
        history = load_checkpoint(folder / f"step-{step:08d}").history
        np.testing.assert_array_equal(history.step_loss, whole.history.step_loss[:step])


def listed(**changes):
    def change(text):
        text["segments"] = {name: digest for name, digest in (text["segments"] | changes).items() if digest}

    return other_json(change)


def number(name, value):
    def change(arrays):
        arrays[name][1] = value

    return change


JSON = r"checkpoint\.json: "
FORGED = {
    "one less": (listed(**{EPOCHS: None}), rf"{JSON}segments: expected 6 files, got 5"),
    "one more": (listed(**{"history-000005.safetensors": "0"}), rf"{JSON}segments: expected 6 files, got 7"),
    "another name": (
        listed(**{HISTORY: None, "../step-00000015/history-000001.safetensors": "0"}),
        rf"{JSON}segments\.{HISTORY}: expected the SHA-256 of this file, got none",
    ),
    "no digest": (listed(**{HISTORY: 7}), rf"{JSON}segments\.{HISTORY}: "),
    "another digest": (listed(**{HISTORY: "0" * 64}), rf"{HISTORY}: expected the bytes that checkpoint\.json was"),
    "no list": (edited(segments=None), rf"{JSON}segments: "),
    "no length": (edited(segment_length=0), rf"{JSON}segment_length: "),
    "a negative length": (edited(segment_length=-4), rf"{JSON}segment_length: "),
    "another length": (edited(segment_length=5), rf"{JSON}segments: expected 4 files, got 6"),
    "longer than the run": (edited(segment_length=2**31 - 1), rf"{JSON}segments: expected 0 files, got 6"),
    "without segments": (
        edited(segment_length=2**31 - 1, segments={}),
        r"tensors\.safetensors: history\.step_loss: expected \(\(20,\), 'float64'\), got \(\(0,\), 'float64'\)",
    ),
    "an older version's number": (
        edited(format=3),
        r"tensors\.safetensors: history\.step_loss: expected \(\(20,\)",
    ),
    "a loss that is NaN": (
        other_tensors(number("history.step_loss", np.nan), HISTORY),
        rf"{HISTORY}: history\.step_loss: expected finite numbers, got nan",
    ),
    "a task's loss that is infinite": (
        other_tensors(number("history.task_loss.click", np.inf), HISTORY),
        rf"{HISTORY}: history\.task_loss\.click: expected finite numbers, got inf",
    ),
    "negative seconds": (
        other_tensors(number("epochs.seconds", -1.0), EPOCHS),
        rf"{EPOCHS}: epochs\.seconds: expected finite numbers from 0 to 1e\+09, got -1",
    ),
    "a shorter curve": (
        other_tensors(lambda arrays: arrays.update({"history.step_loss": arrays["history.step_loss"][:3]}), HISTORY),
        rf"{HISTORY}: history\.step_loss: expected \(\(4,\), 'float64'\), got \(\(3,\)",
    ),
    "another type": (
        other_tensors(lambda arrays: arrays.update({"epochs.loss": np.zeros(4, np.float32)}), EPOCHS),
        rf"{EPOCHS}: epochs\.loss: expected \(\(4,\), 'float64'\), got \(\(4,\), 'float32'\)",
    ),
    "a curve less": (
        other_tensors(lambda arrays: arrays.pop("history.task_weight.click"), HISTORY),
        rf"{HISTORY}: history\.task_weight\.click: expected .*, got none",
    ),
    "a parameter among them": (
        other_tensors(lambda arrays: arrays.update({"params.trunk.0.bias": np.zeros(4, np.float32)}), HISTORY),
        rf"{HISTORY}: params\.trunk\.0\.bias: expected none",
    ),
    "records among the curves": (
        other_tensors(lambda arrays: arrays.update({"epochs.loss": np.zeros(4)}), HISTORY),
        rf"{HISTORY}: epochs\.loss: expected none",
    ),
    "another value that was watched": (
        other_tensors(number("epochs.monitor", 1.0), EPOCHS),
        rf"{JSON}best: expected",
    ),
}


@pytest.mark.parametrize(("forge", "words"), FORGED.values(), ids=FORGED)
def test_what_cannot_be_so_is_named_though_all_checksums_are_right(alone, folder, forge, words):
    forge(folder / NEWEST)
    with pytest.raises(CheckpointError, match=rf"{NEWEST}: {words}") as caught:
        load_checkpoint(folder / NEWEST)
    assert "\n" not in str(caught.value)
    with pytest.warns(CheckpointWarning, match=rf"set aside as {NEWEST}\.damaged, .*{BEFORE} is used"):
        assert_same_run(fit_in_segments(folder, resume=True), alone[1])
