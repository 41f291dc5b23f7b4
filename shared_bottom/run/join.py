"""How the processes of a run find each other: by the framework's engine first, then by connections of their own."""

import json
import queue
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener

import numpy as np

from backends.base import SharedBackend
from backends.engines import ENGINES, number
from backends.parts import Joined
from shared_bottom.run.errors import ProcessError
from shared_bottom.run.processes import Connected, Processes
from spec.validation import one_line

TOLD_BYTES = 512
"""Room for what process 0 tells the others through the engine: where it listens."""
LONGEST_WAIT = 1e6
"""Seconds that are waited at most, which are twelve days: the system and the frameworks do not take any number."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")

_current: Processes | None = None
"""The processes of the run in progress, if they are several."""


@contextmanager
def joined(backend: SharedBackend, timeout: float, threads: int | None) -> Iterator[Processes]:
    """The processes of the run that takes place in the block: those that were started together, as the engine knows.

    Inside such a block, they are the same ones. Raises ProcessError if one does not come within `timeout` seconds, and
    ValueError if there are others that this backend does not join.
    """
    global _current
    if _current is not None:
        yield _current
        return
    timeout = min(timeout, LONGEST_WAIT)
    try:
        place = backend.join(timeout, threads)
        check_engine(backend, place)
        processes = Processes() if place.size == 1 else connect(backend, place, timeout)
    except RuntimeError as error:
        message = f"processes: expected all to come within {timeout:g} s: {one_line(error)}"
        raise ProcessError(message, code=2) from error
    with processes:
        _current = processes if place.size > 1 else None
        try:
            yield processes
        finally:
            _current = None


def check_engine(backend: SharedBackend, place: Joined) -> None:
    """Raises ValueError if an engine has started several processes, and this backend would train in each of them alone.

    Where the variable of one engine says 1, that is meant so.
    """
    said = {engine.counts[0]: number(engine.counts[0]) or 0 for engine in ENGINES}
    if place.size > 1 or 1 in said.values():
        return
    for name, count in said.items():
        if count > 1:
            expected = f"one process, because backend {backend.name!r} does not join those of this engine"
            raise ValueError(f"{name}: expected {expected}, got {count}")


def connect(backend: SharedBackend, place: Joined, timeout: float) -> Processes:
    """This process's connections. Raises ProcessError if another one does not come."""
    if place.rank == 0:
        return Connected(0, place.size, timeout, accept(backend, place, timeout))
    told = json.loads(backend.tell(np.zeros(TOLD_BYTES, np.uint8)).tobytes().rstrip(b"\0"))
    here = [LOOPBACK[1]] if told["name"] == socket.gethostname() else []  # or another machine that is called so
    hosts = [host for host in (*here, place.host, told["name"]) if host]
    for host in hosts:
        with suppress(OSError, EOFError, AuthenticationError):
            connection = Client((host, told["port"]), family="AF_INET", authkey=bytes.fromhex(told["key"]))
            connection.send(place.rank)
            return Connected(place.rank, place.size, timeout, {0: connection})
    raise ProcessError(f"expected process 0 at port {told['port']} of {' or '.join(hosts)}, got no connection", code=2)


def accept(backend: SharedBackend, place: Joined, timeout: float) -> dict[int, Connection]:
    """In process 0: a connection to each other process, by its number."""
    key, come = secrets.token_bytes(16), queue.Queue[tuple[int, Connection]]()
    host = LOOPBACK[1] if place.host in LOOPBACK else ""
    listener = Listener((host, 0), "AF_INET", place.size, authkey=key)
    told = {"name": socket.gethostname(), "port": listener.address[1], "key": key.hex()}
    backend.tell(np.frombuffer(json.dumps(told).encode().ljust(TOLD_BYTES, b"\0"), np.uint8))

    def wait() -> None:
        others = 0
        with listener:
            while others < place.size - 1:
                with suppress(AuthenticationError, EOFError, OSError):  # a stranger
                    connection = listener.accept()
                    come.put((connection.recv(), connection))
                    others += 1

    connections: dict[int, Connection] = {}
    threading.Thread(target=wait, daemon=True).start()
    deadline = time.monotonic() + timeout
    while len(connections) < place.size - 1:
        try:
            rank, connection = come.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            missing = ", ".join(str(rank) for rank in range(1, place.size) if rank not in connections)
            message = f"expected all processes to come within {timeout:g} s, got none of {missing}"
            raise ProcessError(message, code=2) from None
        connections[rank] = connection
    return dict(sorted(connections.items()))
