"""The cache of encoded tables: how many bytes all entries may have together."""

import os
import time

import pytest

from shared_bottom.tables.cache import LIMIT, RowCacheWarning, entries, limit_bytes
from shared_bottom.tables.training import read_table
from tests.helpers import row_cache as shared
from tests.helpers.builders import rejection
from tests.helpers.row_cache import assert_same, names, no_reading, of_another_user
from tests.helpers.table_files import with_data

pytestmark = pytest.mark.filterwarnings("error::shared_bottom.tables.cache.RowCacheWarning")
folder, small = shared.folder, shared.small


@pytest.fixture
def use(tmp_path, folder, small):
    """Reads the table with so much memory; the names of the entries that this adds."""

    def use(memory_mb):
        before = names(folder)
        read_table(with_data(small, memory_mb=memory_mb), tmp_path, cache=folder)
        for i, entry in enumerate(entries(folder)):  # times that no clock has to tell apart
            os.utime(entry.path, (time.time() - 9 - i,) * 2)
        return names(folder) - before

    return use


def test_those_not_used_for_longest_go_first(folder, monkeypatch, use):
    first, second = use(1), use(2)
    size = max(entry.size for entry in entries(folder))
    monkeypatch.setenv(LIMIT, f"{3.5 * size / 1e9:.12f}")
    third = use(3)
    assert use(1) == set()  # it is used now
    fourth = use(4)
    assert names(folder) == first | third | fourth
    assert second


def test_an_entry_of_another_user_stays_and_others_go(folder, monkeypatch, use):
    (theirs,), second, third = use(1), use(2), use(3)
    size = max(entry.size for entry in entries(folder))
    of_another_user(monkeypatch, folder / theirs)
    monkeypatch.setenv(LIMIT, f"{2.5 * size / 1e9:.12f}")
    fourth = use(4)
    assert names(folder) == {theirs} | third | fourth
    assert second


def test_rows_of_more_bytes_than_all_entries_may_have_are_not_kept(small, tmp_path, folder, monkeypatch):
    monkeypatch.setenv(LIMIT, "0.000001")
    with pytest.warns(RowCacheWarning, match=r"the rows are not kept: .* GB are more than .* may have together, 1e-06"):
        read = read_table(small, tmp_path, cache=folder)
    assert_same(read, read_table(small, tmp_path))
    assert names(folder) == set()


@pytest.mark.parametrize("text", ["0", "-1", "much", "nan", "inf"])
def test_a_limit_that_is_no_number_is_rejected_before_a_file_is_read(small, tmp_path, folder, monkeypatch, text):
    no_reading(monkeypatch)
    monkeypatch.setenv(LIMIT, text)
    line = rejection(read_table, small, tmp_path, cache=folder)
    assert line == f"SHARED_BOTTOM_CACHE_GB: expected a number of GB above 0, got {text!r}"


def test_without_a_limit_in_the_environment_it_is_20_gb(monkeypatch):
    for text in (None, ""):
        monkeypatch.delenv(LIMIT, raising=False) if text is None else monkeypatch.setenv(LIMIT, text)
        assert limit_bytes() == 20_000_000_000
