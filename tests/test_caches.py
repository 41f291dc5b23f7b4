"""A folder of compiled code is compared with its checksums, and another one is used where it cannot be written."""

import pytest

from backends.caches import CompileCacheWarning, open_cache, record, remove_damaged
from tests.test_compile_caches import files


def remembered(folder):
    remove_damaged(folder)
    record(folder)
    return files(folder)


def test_a_cache_is_compared_with_what_was_recorded(tmp_path):
    folder = tmp_path / "torch"
    (folder / "ab").mkdir(parents=True)
    for name, content in {"ab/one": b"1", "two": b"2", "three": b"3", "locks.lock": b""}.items():
        (folder / name).write_bytes(content)
    assert remembered(folder) == ["ab/one", "locks.lock", "three", "two"]
    (folder / "ab" / "one").write_bytes(b"x")
    (folder / "two").write_bytes(b"")
    (folder / "new").write_bytes(b"of a process that was killed, or is compiling now")
    assert remembered(folder) == ["locks.lock", "new", "three"]
    (folder / "two").write_bytes(b"made again, with other bytes")
    assert remembered(folder) == ["locks.lock", "new", "three", "two"]
    (folder / "new").write_bytes(b"")
    assert remembered(folder) == ["locks.lock", "three", "two"]
    assert files(tmp_path) == ["torch.sha256.json", "torch/locks.lock", "torch/three", "torch/two"]


def test_what_another_process_was_still_writing_is_no_damage(tmp_path):
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "one").write_bytes(b"half of ")
    record(folder)
    (folder / "one").write_bytes(b"half of the file")
    record(folder)  # as the process that wrote it does at its end
    assert remembered(folder) == ["one"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_with_a_damaged_record_all_is_made_again(tmp_path, content):
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "one").write_bytes(b"1")
    (tmp_path / "torch.sha256.json").write_bytes(content)
    assert remembered(folder) == []
    (folder / "one").write_bytes(b"1")
    assert remembered(folder) == ["one"]


def test_a_cache_that_cannot_be_written_is_said_and_another_one_is_used(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" / "torch"
    with pytest.warns(
        CompileCacheWarning, match=f"^compile cache {folder}: Not a directory: what is compiled is not kept"
    ):
        used = open_cache(folder)
    assert used.is_dir()
    assert used != folder
    assert open_cache(folder) == used
