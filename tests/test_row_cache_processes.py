"""Tables that are encoded once, by processes that come for the same one at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared_bottom.tables.cache import clear
from shared_bottom.tables.training import read_table
from tests.helpers import row_cache as shared
from tests.helpers.cli import contents
from tests.helpers.row_cache import assert_same, names
from tests.helpers.table_files import with_data

pytestmark = pytest.mark.slow
folder, small = shared.folder, shared.small


def read_at_once(*arguments):
    """How often processes encode a table, how many of them together at most, and their exit codes."""
    command = [sys.executable, "-m", "tests.helpers.at_once", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=120)
    assert done.stderr == ""
    encodings, together, *codes = map(int, done.stdout.split())
    return encodings, together, codes


def test_one_encodes_while_the_others_wait(small, tmp_path, folder):
    assert read_at_once(tmp_path, folder, 4) == (1, 1, [0] * 4)
    assert contents(folder) == sorted([".lock", *names(folder)])
    assert_same(read_table(small, tmp_path, cache=folder), read_table(small, tmp_path))


def test_one_that_is_killed_frees_the_others(small, tmp_path, folder):
    assert read_at_once(tmp_path, folder, 3, "die") == (2, 1, [-9, 0, 0])
    assert len(names(folder)) == 1
    read_table(with_data(small, memory_mb=7), tmp_path, cache=folder)  # who makes the next clears away what is left
    assert contents(folder) == sorted([".lock", *names(folder)])


def test_they_do_not_wait_one_after_the_other_for_rows_that_are_not_kept(small, tmp_path, folder):
    encodings, together, codes = read_at_once(tmp_path, folder, 6, "lose")
    assert (encodings, codes) == (6, [0] * 6)
    assert together > 1
    assert contents(folder) == [".lock"]


def test_clearing_the_cache_removes_what_a_killed_one_left(small, tmp_path, folder):
    read_at_once(tmp_path, folder, 1, "die")
    assert [name for name in contents(folder) if name.endswith(".lock")] != [".lock"]
    assert clear(folder) == []
    assert contents(folder) == [".lock"]
