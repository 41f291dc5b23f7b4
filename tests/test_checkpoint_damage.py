"""A checkpoint that is damaged is named and set aside, and the one before it is used: never a wrong state."""

import errno
import os
import pickle
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import CheckpointWarning, load_checkpoint
from shared_bottom.checkpoint.format import CheckpointError
from spec import load_backend
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, assert_same_run, short, steps_saved
from tests.helpers.forged import edited, other_tensors, sums

FILES = ("tensors.safetensors", "checkpoint.json", "checkpoint.sha256")
NEWEST = "step-00000010"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A finished run with checkpoints of steps 5, 8 and 10; on PyTorch, whose eager steps end first."""
    pytest.importorskip("torch")
    backend, folder = load_backend("torch"), tmp_path_factory.mktemp("alone")
    return folder, backend.fit(MODEL, short(backend, epochs=2), DATA, VALIDATION, checkpoint=folder, save_every=3)


@pytest.fixture
def folder(alone, tmp_path):
    return shutil.copytree(alone[0], tmp_path / "run")


def resume(folder):
    backend = load_backend("torch")
    options = {"checkpoint": folder, "save_every": 3, "resume": True}
    return backend.fit(MODEL, short(backend, epochs=2), DATA, VALIDATION, **options)


def truncated(name, share):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) * share // 20])

    return damage


def flipped(name, seed):
    def damage(folder):
        content = bytearray((folder / name).read_bytes())
        bit = random.Random(seed).randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(content)

    return damage


def missing(name):
    return lambda folder: (folder / name).unlink()


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code was run')",)


def renamed(folder):
    """An earlier step's, under a later one's name."""
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("step-00000008"), folder)


def pickled(folder):
    (folder / "tensors.safetensors").write_bytes(pickle.dumps({"params.trunk.0.bias": Code()}))
    sums(folder)


def pickled_json(folder):
    (folder / "checkpoint.json").write_bytes(pickle.dumps(Code()))


DAMAGES = {
    **{f"{name} {n}/20": truncated(name, n) for name in FILES for n in range(20)},
    **{f"{name} bit {seed}": flipped(name, seed) for name in FILES for seed in range(12)},
    **{f"no {name}": missing(name) for name in FILES},
    "empty": lambda folder: [path.unlink() for path in folder.iterdir()],
    "a newer version": edited(format=5),
    "an older version's number": edited(format=1, run={}),
    "a step more": edited(step=11),
    "a field more": edited(colour="red"),
    "a field more in the best": edited(best={"epoch": 2, "step": 10, "value": 0.5, "colour": 1.0}),
    "an epoch more": edited(epoch=3),
    "renamed": renamed,
    "other tensors": edited(tensors_sha256="0" * 64),
    "no object": lambda folder: (folder / "checkpoint.json").write_text("[[1]]"),
    "deep": lambda folder: (folder / "checkpoint.json").write_text("[" * 100_000),
    "a pickle": pickled,
    "a pickle as JSON": pickled_json,
    "a shape": other_tensors(lambda t: t.update({"params.trunk.0.bias": np.zeros(5, np.float32)})),
    "a type": other_tensors(lambda t: t.update({"params.trunk.0.bias": np.zeros(4)})),
    "a tensor less": other_tensors(lambda t: t.pop("slots.mu.trunk.0.bias")),
    "a tensor more": other_tensors(lambda t: t.update({"slots.trace.trunk.0.bias": np.zeros(4, np.float32)})),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_it_is_named_and_set_aside_and_the_one_before_is_used(alone, folder, damage):
    assert steps_saved(folder) == [5, 8, 10]
    damage(folder / NEWEST)
    with pytest.raises(CheckpointError, match=rf"{NEWEST}: (tensors|checkpoint)\.\w+: ") as caught:
        load_checkpoint(folder / NEWEST)
    assert "\n" not in str(caught.value)
    said = rf"{NEWEST}: .* set aside as {NEWEST}\.damaged, .*step-00000008 is used"
    with pytest.warns(CheckpointWarning, match=said):
        resumed = resume(folder)
    assert_same_run(resumed, alone[1])
    assert steps_saved(folder) == [5, 8, 10]
    assert (folder / f"{NEWEST}.damaged").is_dir()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no checkpoint.json", r"checkpoint\.json: No such file"),
        ("a newer version", r"checkpoint\.json: expected format version 1 to 4, got 5"),
        ("an older version's number", r"checkpoint\.json: expected the fields of format version 1, got KeyError"),
        ("a pickle", r"tensors\.safetensors: expected the safetensors format, got "),
        ("a pickle as JSON", r"checkpoint\.json: expected JSON with a field format, got \d+ other bytes"),
        ("a field more", r"checkpoint\.json: colour: unexpected field, got 'red'"),
        ("renamed", r"checkpoint\.json: step: expected 10, as the folder is named, got 8"),
        ("a step more", r"checkpoint\.json: step: expected at most 10, the run's steps, got 11"),
    ],
)
def test_the_damage_is_said(folder, name, words):
    DAMAGES[name](folder / NEWEST)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(folder / NEWEST)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_disk_or_permissions_that_fail_are_no_damage(folder, monkeypatch, number):
    def read(path):
        raise OSError(number, os.strerror(number), str(path))

    before = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(Path, "read_bytes", read)
    said = rf"^resume: expected .*, got '.*{NEWEST}/checkpoint.json': {os.strerror(number)}; nothing was set aside$"
    with pytest.raises(ValueError, match=said):
        resume(folder)
    with pytest.raises(OSError, match=os.strerror(number)):
        load_checkpoint(folder)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_several_damaged_ones_are_all_set_aside(alone, folder):
    for name, step in (("no checkpoint.json", 10), ("tensors.safetensors 7/20", 8)):
        DAMAGES[name](folder / f"step-{step:08d}")
    with pytest.warns(CheckpointWarning) as warned:
        resumed = resume(folder)
    assert [str(w.message).partition(": ")[0] for w in warned] == [str(folder / f"step-{s:08d}") for s in (10, 8)]
    assert_same_run(resumed, alone[1])
    DAMAGES["empty"](folder / NEWEST)
    with pytest.warns(CheckpointWarning, match=rf"set aside as {NEWEST}\.damaged-1"):
        assert_same_run(resume(folder), alone[1])


def test_none_usable_is_an_error_and_no_fresh_start(folder):
    for path in folder.glob("step-*"):
        DAMAGES["checkpoint.json 3/20"](path)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(CheckpointError, match=r"^resume: expected a checkpoint that can be read, got none: .*step-00"):
        resume(folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    for path in folder.glob("step-*"):
        path.rename(f"{path}.damaged")
    with pytest.raises(CheckpointError, match=r"^resume: expected .* got none: all were set aside"):
        resume(folder)


def test_the_reader_warns_and_touches_nothing(folder):
    DAMAGES["tensors.safetensors bit 3"](folder / NEWEST)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.warns(CheckpointWarning, match=NEWEST):
        assert load_checkpoint(folder).step == 8
    assert sorted(path.name for path in folder.iterdir()) == before


def test_what_a_killed_run_left_unfinished_is_cleared(alone, folder):
    for name in (".saving-step-00000012", ".removing-step-00000003"):
        (folder / name).mkdir()
        (folder / name / "tensors.safetensors").write_bytes(b"half")
    assert load_checkpoint(folder).step == 10
    assert_same_run(resume(folder), alone[1])
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [f"step-{s:08d}" for s in (5, 8, 10)]
