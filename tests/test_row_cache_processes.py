"""Tables that are encoded once, by processes that come for the same one at once."""

import multiprocessing
import os
import signal
import time

import pytest

from shared_bottom.tables import encoded
from shared_bottom.tables.training import read_table
from tests.helpers import row_cache as shared
from tests.helpers.cli import contents
from tests.helpers.row_cache import assert_same, names
from tests.helpers.table_files import with_data

pytestmark = pytest.mark.filterwarnings("error::shared_bottom.tables.cache.RowCacheWarning")
folder, small = shared.folder, shared.small
CONTEXT = multiprocessing.get_context("forkserver")  # a process that has loaded JAX must not fork
CONTEXT.set_forkserver_preload(["tests.helpers.row_cache"])
SECONDS = 0.5
"""What encoding takes at least, so that all come for the entry before it is there."""


def read(spec, rows, folder, encodings, die):
    """Reads the table in a process, which notes that it encodes; the first one to do so is killed if `die` is set."""
    encode = encoded.encode_table

    def slowly(*arguments):
        with encodings.get_lock():
            encodings.value += 1
            first = encodings.value == 1
        time.sleep(SECONDS)
        if first and die:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(*arguments)

    encoded.encode_table = slowly
    read_table(spec, rows, cache=folder)
    os._exit(0)


def read_at_once(count, *arguments, die=False):
    """How often that many processes encode a table, and their exit codes."""
    encodings = CONTEXT.Value("i", 0)
    processes = [CONTEXT.Process(target=read, args=(*arguments, encodings, die)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return encodings.value, sorted(process.exitcode for process in processes)


def test_one_encodes_while_the_others_wait(small, tmp_path, folder):
    assert read_at_once(4, small, tmp_path, folder) == (1, [0] * 4)
    assert contents(folder) == sorted([".lock", *names(folder)])
    assert_same(read_table(small, tmp_path, cache=folder), read_table(small, tmp_path))


def test_one_that_is_killed_frees_the_others(small, tmp_path, folder):
    assert read_at_once(3, small, tmp_path, folder, die=True) == (2, [-signal.SIGKILL, 0, 0])
    assert len(names(folder)) == 1
    read_table(with_data(small, memory_mb=7), tmp_path, cache=folder)  # who comes next clears away what is left
    assert contents(folder) == sorted([".lock", *names(folder)])


def test_they_do_not_wait_one_after_the_other_for_rows_that_are_not_kept(small, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(encoded, "keep", lambda *_: None)
    began = time.monotonic()
    assert read_at_once(6, small, tmp_path, folder) == (6, [0] * 6)
    assert time.monotonic() - began < 5 * SECONDS
    assert contents(folder) == [".lock"]
