"""The cache of encoded tables: whatever happens to an entry or its disk, no entry is read wrongly or left half made."""

import errno
import fcntl
import os
import shutil
import stat

import pytest

from shared_bottom.tables import cache, encoded, stored, turns
from shared_bottom.tables.cache import RowCacheWarning, entries
from shared_bottom.tables.training import read_table
from shared_bottom.tables.turns import unfinished_entry
from tests.helpers import row_cache as shared
from tests.helpers.builders import rejection
from tests.helpers.cli import contents
from tests.helpers.row_cache import assert_same, names, no_reading
from tests.helpers.table_files import COLUMNS, write

pytestmark = pytest.mark.filterwarnings("error::shared_bottom.tables.cache.RowCacheWarning")
folder, small = shared.folder, shared.small


def cut(path):
    path.write_bytes(path.read_bytes()[:-2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


DAMAGE = {"cut": cut, "flipped": flip, "empty": empty, "missing": os.unlink}


@pytest.mark.filterwarnings("default::shared_bottom.tables.cache.RowCacheWarning")
@pytest.mark.parametrize("file", ["training.0", "training.1", "columns.json", "entry.json", "sha256"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed_and_the_table_read_anew(small, tmp_path, folder, monkeypatch, file, damage):
    expected = read_table(small, tmp_path)
    read_table(small, tmp_path, cache=folder)
    (entry,) = entries(folder)
    DAMAGE[damage](entry.path / file)
    with pytest.warns(RowCacheWarning, match="cache of tables: .*; the table is read anew$") as caught:
        assert_same(read_table(small, tmp_path, cache=folder), expected)
    assert len(caught) == 1
    assert str(entry.path) in str(caught[0].message)
    no_reading(monkeypatch)
    assert_same(read_table(small, tmp_path, cache=folder), expected)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_an_entry_that_cannot_be_read_now_is_not_damaged_and_stays(small, tmp_path, folder, monkeypatch, number):
    expected = read_table(small, tmp_path, cache=folder)

    def fail(path):
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(cache, "read_stored", fail)
        with pytest.warns(RowCacheWarning, match=rf"cache of tables: .*{os.strerror(number)}; the table is read anew"):
            assert_same(read_table(small, tmp_path, cache=folder), expected)
    assert len(names(folder)) == 1
    no_reading(monkeypatch)
    assert_same(read_table(small, tmp_path, cache=folder), expected)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_who_may_read_an_entry_is_as_the_process_says(small, tmp_path, folder, mask):
    before = os.umask(mask)
    try:
        read_table(small, tmp_path, cache=folder)
    finally:
        os.umask(before)
    (entry,) = entries(folder)
    assert stat.S_IMODE(entry.path.stat().st_mode) == 0o777 & ~mask
    assert {stat.S_IMODE(path.stat().st_mode) for path in entry.path.iterdir()} == {0o666 & ~mask}


@pytest.mark.parametrize("change", ["rewritten", "removed"])
def test_a_file_that_changes_while_it_is_read_makes_no_entry(small, tmp_path, folder, monkeypatch, change):
    fit_blocks, path = encoded.fit_blocks, tmp_path / "train.csv"

    def changing(*arguments):
        learnt = fit_blocks(*arguments)
        path.write_bytes(path.read_bytes() * 2) if change == "rewritten" else path.unlink()
        return learnt

    expected = read_table(small, tmp_path)
    monkeypatch.setattr(encoded, "fit_blocks", changing)
    with pytest.warns(RowCacheWarning, match=r"train\.csv: changed while it was read; the encoded rows are not kept"):
        read = read_table(small, tmp_path, cache=folder)
    assert_same(read, expected)
    assert contents(folder) == [".lock"]


def test_two_that_encode_the_same_table_do_not_disturb_each_other(small, tmp_path, folder, monkeypatch):
    fit_blocks, inner = encoded.fit_blocks, []

    def meanwhile(*arguments):
        if not inner:
            inner.append(None)
            next(folder.glob(".saving-*.lock")).unlink()  # so that the other one need not wait
            inner[0] = read_table(small, tmp_path, cache=folder)
        return fit_blocks(*arguments)

    monkeypatch.setattr(encoded, "fit_blocks", meanwhile)
    outer = read_table(small, tmp_path, cache=folder)
    assert_same(outer, inner[0])
    assert_same(outer, read_table(small, tmp_path))
    assert len(names(folder)) == 1
    assert [name for name in contents(folder) if name.startswith(".saving")] == []


def test_what_a_killed_process_left_goes_but_not_what_another_writes(small, tmp_path, folder):
    with unfinished_entry(folder) as written:
        (folder / ".saving-left").mkdir()
        read_table(small, tmp_path, cache=folder)
        assert written.is_dir()
        assert (folder / ".saving-left").is_dir()  # nobody knows that nobody writes it
    shutil.rmtree(folder / names(folder).pop())
    read_table(small, tmp_path, cache=folder)
    assert contents(folder) == [".lock", *names(folder)]


def test_an_error_leaves_nothing(small, tmp_path, folder):
    write(tmp_path, "train.csv", COLUMNS | {"age": ["old"] * 6})
    line = rejection(read_table, small, tmp_path)
    assert rejection(read_table, small, tmp_path, cache=folder) == line
    assert contents(folder) == [".lock"]


@pytest.mark.parametrize("place", ["append", "finish"])
def test_ctrl_c_leaves_nothing(small, tmp_path, folder, monkeypatch, place):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stored.ArrayFile if place == "append" else stored.StoredRows, place, stop)
    with pytest.raises(KeyboardInterrupt):
        read_table(small, tmp_path, cache=folder)
    assert contents(folder) == [".lock"]


def test_where_older_entries_cannot_be_removed_the_rows_are_there_all_the_same(small, tmp_path, folder, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    expected = read_table(small, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "entries", fail)
        with pytest.warns(RowCacheWarning, match=rf"{os.strerror(errno.EIO)}; the rows may not be kept$"):
            assert_same(read_table(small, tmp_path, cache=folder), expected)
    assert len(names(folder)) == 1


@pytest.mark.parametrize("place", ["append", "finish"])
def test_a_full_disk_is_an_error_that_names_the_folder_and_what_helps(small, tmp_path, folder, monkeypatch, place):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stored.ArrayFile if place == "append" else stored.StoredRows, place, full)
    with pytest.raises(OSError, match=r"No space left on device; .* \(--no-cache\)") as caught:
        read_table(small, tmp_path, cache=folder)
    assert caught.value.filename == str(folder)
    assert contents(folder) == [".lock"]


@pytest.mark.parametrize("obstacle", ["a file", "read-only"])
def test_where_nothing_can_be_made_the_rows_are_in_memory(small, tmp_path, folder, obstacle):
    if obstacle == "a file":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / ".lock").mkdir()  # as root, nothing is read-only
    with pytest.warns(RowCacheWarning, match=r"cache of tables .*kept: .*; the rows are read into memory"):
        read = read_table(small, tmp_path, cache=folder)
    assert_same(read, read_table(small, tmp_path))
    assert read[1].numeric.flags.writeable


def test_where_another_process_has_the_folder_for_itself_the_rows_are_in_memory(small, tmp_path, folder, monkeypatch):
    """As a run has the folder that it writes. The wait has an end."""
    monkeypatch.setattr(turns, "WAIT", 0.1)
    folder.mkdir()
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.warns(RowCacheWarning, match=r"for itself for 0\.1 s; the rows are read into memory$") as caught:
            read = read_table(small, tmp_path, cache=folder)
    assert len(caught) == 1
    assert_same(read, read_table(small, tmp_path))
    assert contents(folder) == [".lock"]


def test_a_process_that_needs_the_folder_for_itself_for_a_moment_is_waited_for(small, tmp_path, folder, monkeypatch):
    folder.mkdir()
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(lock, fcntl.LOCK_UN))
        read_table(small, tmp_path, cache=folder)
    assert len(names(folder)) == 1
