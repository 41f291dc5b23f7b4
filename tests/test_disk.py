"""Files and folders are written whole or not at all, wherever an error, a signal or a kill comes in between."""

import errno
import os
import re
import shutil
from pathlib import Path

import pytest

from shared_bottom.checkpoint.folder import CheckpointFolder
from shared_bottom.disk import UnflushedError, readable_folder, restore_folder, whole_file, write_whole
from tests.helpers.folders import write_folder

OLD, NEW = {"a": b"old a", "b": b"old b"}, {"a": b"new a", "c": b"new c"}


class Killed(BaseException):
    """The process ends here: nothing that would clean up behind it has any effect."""


class Disk:
    """Counts what changes names or flushes, and lets the call of number `failing` (from 0) fail with `error`."""

    def __init__(self, patch, error=None, failing=None):
        self.calls, self._error, self._failing = [], error, failing
        for where, name in ((Path, "rename"), (Path, "replace"), (os, "fsync"), (shutil, "rmtree")):
            patch.setattr(where, name, self._counting(name, getattr(where, name)))

    def _counting(self, name, original):
        def call(place, *rest, **options):
            dead = isinstance(self._error, Killed) and self._failing is not None and len(self.calls) > self._failing
            if dead:
                raise Killed
            if name != "rmtree":
                target = place if isinstance(place, Path) else Path(f"/proc/self/fd/{place}").readlink()
                self.calls.append(f"{name} {target.name}")
                if len(self.calls) - 1 == self._failing:
                    raise self._error
            return original(place, *rest, **options)

        return call


def folder(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def names(path):
    return sorted(entry.name for entry in path.iterdir())


def replacing(tmp_path):
    """The calls that replace a folder makes, in their order."""
    write_folder(tmp_path / "model", OLD)
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch)
        write_folder(tmp_path / "model", NEW)
    shutil.rmtree(tmp_path / "model")
    return disk.calls


def test_a_folder_is_flushed_before_it_is_renamed_and_its_name_before_the_earlier_one_goes(tmp_path):
    assert replacing(tmp_path) == [
        "fsync a",
        "fsync c",
        "fsync .saving-model",
        "rename model",
        "rename .saving-model",
        f"fsync {tmp_path.name}",
        "rename .replaced-model",
    ]


ERRORS = [OSError(errno.EIO, os.strerror(errno.EIO)), KeyboardInterrupt(), SystemExit(143)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("failing", range(6))
def test_the_earlier_folder_comes_back_whatever_fails(tmp_path, monkeypatch, error, failing):
    path = tmp_path / "model"
    write_folder(path, OLD)
    with monkeypatch.context() as patch:
        Disk(patch, error, failing)
        with pytest.raises(type(error)):
            write_folder(path, NEW)
    assert folder(path) == OLD
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("failing", range(4))
def test_a_first_folder_that_cannot_be_written_is_not_there(tmp_path, monkeypatch, failing):
    with monkeypatch.context() as patch:
        Disk(patch, ERRORS[0], failing)
        with pytest.raises(OSError, match="Input/output error") as caught:
            write_folder(tmp_path / "model", NEW)
    assert not isinstance(caught.value, UnflushedError)
    assert names(tmp_path) == []


def test_a_first_folder_whose_name_may_not_be_on_the_disk_stays(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        Disk(patch, ERRORS[0], 4)
        with pytest.raises(UnflushedError, match="Input/output error"):
            write_folder(tmp_path / "model", NEW)
    assert folder(tmp_path / "model") == NEW


@pytest.mark.parametrize("failing", range(7))
def test_what_a_killed_process_set_aside_is_read_and_put_back(tmp_path, monkeypatch, failing):
    path = tmp_path / "model"
    write_folder(path, OLD)
    with monkeypatch.context() as patch:
        Disk(patch, Killed(), failing)
        with pytest.raises(Killed):
            write_folder(path, NEW)
    expected = OLD if failing < 5 else NEW  # the second rename is the moment
    assert path.exists() == (failing != 4)
    assert folder(readable_folder(path)) == expected
    with monkeypatch.context() as patch:
        Disk(patch, ERRORS[0], 3)  # the next write fails, too
        with pytest.raises(OSError, match="Input/output error"):
            write_folder(path, {"d": b"newest"})
    assert folder(path) == expected
    write_folder(path, NEW)
    assert folder(path) == NEW
    assert names(tmp_path) == ["model"]


def test_a_folder_that_was_replaced_is_not_put_back(tmp_path):
    write_folder(tmp_path / "model", NEW)
    write_folder(tmp_path / ".replaced-model", OLD)
    assert readable_folder(tmp_path / "model") == tmp_path / "model"
    restore_folder(tmp_path / "model")
    assert folder(tmp_path / "model") == NEW
    assert names(tmp_path) == ["model"]


def test_a_run_puts_back_the_checkpoint_that_a_killed_one_set_aside(tmp_path):
    write_folder(tmp_path / ".replaced-step-00000005", OLD)
    write_folder(tmp_path / ".replaced-step-00000008", OLD)
    write_folder(tmp_path / "step-00000008", NEW)
    with CheckpointFolder(tmp_path, keep=1):
        pass
    assert names(tmp_path) == [".lock", "step-00000005", "step-00000008"]
    assert (folder(tmp_path / "step-00000005"), folder(tmp_path / "step-00000008")) == (OLD, NEW)


def test_a_file_is_flushed_before_it_is_renamed_and_then_its_name(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        write_whole(tmp_path / "report.json", b"new")
    partial = disk.calls[0].removeprefix("fsync ")
    assert re.fullmatch(r"\.report\.json\.[0-9a-f]{8}\.partial", partial)
    assert disk.calls == [f"fsync {partial}", f"replace {partial}", f"fsync {tmp_path.name}"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("failing", range(2))
def test_the_earlier_file_stays_whatever_fails(tmp_path, monkeypatch, error, failing):
    path = tmp_path / "report.json"
    write_whole(path, b"old")
    with monkeypatch.context() as patch:
        Disk(patch, error, failing)
        with pytest.raises(type(error)):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["report.json"]


def test_the_earlier_file_stays_if_the_block_fails(tmp_path):
    path = tmp_path / "report.json"
    write_whole(path, b"old")

    def interrupted():
        with whole_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["report.json"]


def test_a_file_whose_name_may_not_be_on_the_disk_is_told(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        Disk(patch, ERRORS[0], 2)
        with pytest.raises(UnflushedError, match="Input/output error"):
            write_whole(tmp_path / "report.json", b"new")
    assert (tmp_path / "report.json").read_bytes() == b"new"
