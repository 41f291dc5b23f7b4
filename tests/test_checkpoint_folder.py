"""Which steps are saved, which stay, and in what form."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load

from shared_bottom.checkpoint.folder import CheckpointWarning, load_checkpoint
from shared_bottom.checkpoint.format import CheckpointError
from spec import Adam, EarlyStopping, Schedule, parameter_shapes, to_json
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, assert_same_run, short, steps_saved
from tests.helpers.parity import compare_params


@pytest.mark.parametrize(
    ("save_every", "steps"),
    [
        (None, [5, 10, 15, 20]),
        (1, list(range(1, 21))),
        (3, [3, 5, 8, 10, 13, 15, 18, 20]),
        (5, [5, 10, 15, 20]),
        (9, [5, 10, 15, 20]),
        (10, [10, 20]),
        (17, [15, 20]),
        (100, [20]),
    ],
)
def test_at_most_so_many_steps_lie_between_two_saves_and_the_end_is_saved(backend, tmp_path, save_every, steps):
    train = short(backend, epochs=4)
    backend.fit(MODEL, train, DATA, checkpoint=tmp_path, save_every=save_every, keep=100)
    assert steps_saved(tmp_path) == steps
    assert np.diff([0, *steps]).max() <= (save_every or 5)


@pytest.mark.parametrize(("keep", "steps"), [(1, [15]), (2, [13, 15]), (3, [10, 13, 15])])
def test_the_newest_stay(backend, tmp_path, keep, steps):
    backend.fit(MODEL, short(backend, epochs=3), DATA, checkpoint=tmp_path, save_every=3, keep=keep)
    assert steps_saved(tmp_path) == steps
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", *(f"step-{step:08d}" for step in steps)]


def test_the_best_stays_besides_and_predicts(backend, tmp_path):
    optimizer, stopping = Adam(learning_rate=0.1), EarlyStopping(monitor="price", patience=9)
    train = short(backend, epochs=6, optimizer=optimizer, early_stopping=stopping)
    fitted = backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path, save_every=100, keep=2)
    rmse = [epoch["metrics"]["price"]["rmse"] for epoch in fitted.history.epochs]
    best = int(np.argmin(rmse)) + 1
    assert fitted.history.best_epoch == best < 5, "the rows should overfit before the end"
    assert steps_saved(tmp_path)[0] == 5 * best
    saved, newest = load_checkpoint(tmp_path, "best"), load_checkpoint(tmp_path)
    assert (saved.step, saved.epoch, newest.step) == (5 * best, best, 30)
    assert newest.best.value == rmse[best - 1]
    for params in (saved.params, saved.best.params, newest.best.params):
        compare_params(params, fitted.params, 0)


def test_the_best_of_each_that_is_kept_stays_for_a_fall_back(backend, tmp_path):
    stopping = EarlyStopping(monitor="loss")
    train = short(backend, early_stopping=stopping)
    fitted = backend.fit(MODEL, train, DATA, DATA, checkpoint=tmp_path, save_every=1, keep=2)
    assert fitted.history.best_epoch == 2
    assert steps_saved(tmp_path) == [5, 9, 10]
    (tmp_path / "step-00000010" / "tensors.safetensors").unlink()
    with pytest.warns(CheckpointWarning, match="step-00000010"):
        assert load_checkpoint(tmp_path, "best").step == 5
    with pytest.warns(CheckpointWarning, match="step-00000009 is used"):
        resumed = backend.fit(MODEL, train, DATA, DATA, checkpoint=tmp_path, save_every=1, keep=2, resume=True)
    assert_same_run(resumed, fitted)
    assert steps_saved(tmp_path) == [5, 9, 10]


def test_the_weights_of_a_best_whose_folder_is_gone_are_named(backend, tmp_path):
    train = short(backend, early_stopping=EarlyStopping(monitor="loss"))
    backend.fit(MODEL, train, DATA, DATA, checkpoint=tmp_path, save_every=4, keep=9)
    shutil.rmtree(tmp_path / "step-00000010")
    best = load_checkpoint(tmp_path / "step-00000005")
    shutil.rmtree(tmp_path / "step-00000005")
    said = rf"step-00000005: .*; its weights are load_checkpoint\('{tmp_path}'\)\.best\.params$"
    with pytest.raises(CheckpointError, match=said) as caught:
        load_checkpoint(tmp_path, "best")
    assert "\n" not in str(caught.value)
    compare_params(load_checkpoint(tmp_path).best.params, best.params, 0)


def test_there_is_no_best_without_early_stopping(backend, tmp_path):
    backend.fit(MODEL, short(backend, epochs=1), DATA, VALIDATION, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="which: expected 'newest', got 'best'"):
        load_checkpoint(tmp_path, "best")
    with pytest.raises(ValueError, match="which: expected 'newest' or 'best', got 'last'"):
        load_checkpoint(tmp_path, "last")
    with pytest.raises(CheckpointError, match=r"folder: expected one with a checkpoint, got '.*elsewhere'"):
        load_checkpoint(tmp_path / "elsewhere")


def test_another_program_finds_what_the_format_says(backend, tmp_path):
    train = short(backend, schedule=Schedule(warmup_steps=2))
    fitted = backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path, save_every=3, keep=9)
    folder = tmp_path / "step-00000008"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.json",
        "checkpoint.sha256",
        "tensors.safetensors",
    ]
    command = ["sha256sum", "--check", "--strict", "checkpoint.sha256"]
    assert subprocess.run(command, cwd=folder, capture_output=True).returncode == 0
    text, raw = json.loads((folder / "checkpoint.json").read_text()), (folder / "tensors.safetensors").read_bytes()
    assert (text["format"], text["step"], text["epoch"], text["backend"]) == (4, 8, 1, backend.name)
    assert text["run"]["model"] == json.loads(to_json(MODEL))
    assert text["run"]["train"] == json.loads(to_json(train))
    assert text["segments"] == {}
    assert text["tensors_sha256"] == hashlib.sha256(raw).hexdigest()
    numeric = {"dtype": "<f8", "shape": [36, 3], "sha256": hashlib.sha256(DATA.numeric.tobytes()).hexdigest()}
    assert text["run"]["data"]["numeric"] == numeric
    order = np.random.default_rng([train.seed, 0]).permutation(36)
    assert text["run"]["order"] == hashlib.sha256(order.tobytes()).hexdigest()
    assert {"python", "numpy", *backend.libraries} == text["libraries"].keys()
    tensors = load(raw)
    record = fitted.history.epochs[0]
    numbers = {"loss": record["loss"], "seconds": record["seconds"]}
    for task in MODEL.tasks:
        numbers[f"task_loss.{task.name}"] = record["task_loss"][task.name]
        numbers |= {f"metrics.{task.name}.{name}": value for name, value in record["metrics"][task.name].items()}
    assert len(numbers) == 8
    for name, value in numbers.items():
        np.testing.assert_array_equal(tensors.pop(f"epochs.{name}"), np.array([value]), strict=True)
    prefixes, shapes = ("params", "slots.mu", "slots.nu"), parameter_shapes(MODEL)
    expected = {f"{prefix}.{name}": shape for prefix in prefixes for name, shape in shapes.items()}
    curves = ["history.step_loss", *(f"history.task_loss.{task.name}" for task in MODEL.tasks)]
    assert {name: array.shape for name, array in tensors.items()} == expected | dict.fromkeys(curves, (8,))
    np.testing.assert_array_equal(tensors["history.step_loss"], fitted.history.step_loss[:8])
