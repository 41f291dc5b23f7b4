"""Processes that were started together wait for each other: here they are threads."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backends.engines import free_address
from backends.meeting import meet, reach


def meeting(ranks, count, timeout, address=None):
    """What `meet` raises for each of the ranks, None if it returns; all come at once."""
    address = address or free_address()

    def one(rank):
        try:
            return meet(rank, count, address, int(address.rpartition(":")[2]), timeout)
        except RuntimeError as error:
            return str(error).replace(address, "HOST:PORT")

    with ThreadPoolExecutor(len(ranks)) as threads:
        return list(threads.map(one, ranks))


def test_all_have_come():
    assert meeting([0, 1, 2], 3, 30.0) == [None] * 3
    address = free_address()
    for _ in range(2):  # the place can be taken again at once
        assert meeting([0, 1], 2, 30.0, address) == [None] * 2


def test_one_that_does_not_come_is_named():
    first, other = meeting([0, 2], 4, 0.5)
    assert first == "got none of 1, 3"
    assert other == "process 0, at HOST:PORT, does not say that all have come"


def test_process_0_does_not_come():
    (message,) = meeting([1], 2, 0.3)
    assert message.startswith("process 0 is not at HOST:PORT: ")


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\n", b"0\n", b"7\n"])
def test_a_stranger_is_no_process(said):
    address = free_address()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(meeting, [0], 2, 30.0, address)
        with reach(address, time.monotonic() + 30) as stranger:
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            assert meeting([1], 2, 30.0, address) == [None]
        assert first.result(timeout=30) == [None]
