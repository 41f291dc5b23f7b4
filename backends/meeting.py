"""Waiting for the processes that were started together, before a framework does so.

Where one does not come, JAX ends the process from within with a page of messages, which no handler can prevent, and
PyTorch writes another one.
"""

import socket
import time
from contextlib import ExitStack, suppress

PAUSE = 0.1
"""Seconds between two attempts to connect."""
STRANGER = 1.0
"""Seconds in which whoever connects says who it is."""
ALL = b"!"
"""What process 0 says to each when all have come."""


def meet(rank: int, count: int, address: str, port: int, timeout: float) -> None:
    """Returns once all `count` processes have come.

    address: HOST:PORT, by which the others reach process 0. port: where that listens meanwhile, on all interfaces.

    Raises RuntimeError if one does not come within `timeout` seconds, and OSError if the port is taken.
    """
    deadline = time.monotonic() + timeout
    if rank == 0:
        _receive(count, port, deadline)
        return
    with reach(address, deadline) as connection, suppress(OSError):
        connection.sendall(f"{rank}\n".encode())
        connection.settimeout(left(deadline))
        if connection.recv(1) == ALL:
            return
    raise RuntimeError(f"process 0, at {address}, does not say that all have come")


def reach(address: str, deadline: float) -> socket.socket:
    """A connection to HOST:PORT, where another process is about to listen. Raises RuntimeError if none does."""
    host, _, port = address.rpartition(":")
    while True:
        try:
            return socket.create_connection((host.strip("[]"), int(port)), timeout=left(deadline))
        except OSError as error:
            if left(deadline) <= PAUSE:
                raise RuntimeError(f"process 0 is not at {address}: {error.strerror or error}") from error
        time.sleep(PAUSE)


def left(deadline: float) -> float:
    """The seconds until then, and not quite none, which a socket takes for something else."""
    return max(0.01, deadline - time.monotonic())


def _receive(count: int, port: int, deadline: float) -> None:
    """In process 0: wait for the others, and tell them that all have come."""
    come: dict[int, socket.socket] = {}
    with ExitStack() as stack:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        listener = stack.enter_context(socket.create_server(("", port), family=family, dualstack_ipv6=both))
        while missing := [rank for rank in range(1, count) if rank not in come]:
            listener.settimeout(left(deadline))
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                raise RuntimeError(f"got none of {', '.join(map(str, missing))}") from None
            stack.enter_context(connection)
            connection.settimeout(STRANGER)
            with suppress(OSError):
                said = connection.recv(16).rstrip(b"\n")
                if said.isdigit() and int(said) in missing:
                    come[int(said)] = connection
        for connection in come.values():
            with suppress(OSError):  # one that has gone meanwhile is missed by the framework
                connection.sendall(ALL)
