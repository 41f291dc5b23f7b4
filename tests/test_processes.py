"""What the processes of a run tell each other: here they are threads, with pipes between them."""

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe

import pytest

from shared_bottom.run.alike import check_alike
from shared_bottom.run.errors import ProcessError
from shared_bottom.run.interrupts import Stopped
from shared_bottom.run.processes import Connected, Processes
from spec import DivergenceError


def connected(size, timeout=60.0):
    """Processes 0 to size - 1, before they enter."""
    pipes = {rank: Pipe() for rank in range(1, size)}
    first = Connected(0, size, timeout, {rank: ours for rank, (ours, _) in pipes.items()})
    return [first, *(Connected(rank, size, timeout, {0: theirs}) for rank, (_, theirs) in pipes.items())]


def run(work, size=3, timeout=60.0):
    """What `work(processes)` returns or raises in each of them; it ends within a minute, or the test fails."""

    def inside(processes):
        try:
            with processes:
                return work(processes)
        except BaseException as error:
            return error

    with ThreadPoolExecutor(size) as threads:
        futures = [threads.submit(inside, processes) for processes in connected(size, timeout)]
        return [future.result(timeout=60) for future in futures]


def test_a_process_alone_agrees_with_itself():
    with Processes() as alone:
        assert (alone.rank, alone.size, alone.is_first, alone.speaks) == (0, 1, True, True)
        assert alone.gather("value") == ["value"]
        assert alone.first(lambda: 7) == 7
        with alone.computing():
            check_alike(alone, lambda: pytest.fail("nobody asks"), "")


@pytest.mark.parametrize("size", [2, 4])
def test_every_process_gets_all_values_in_their_order(size):
    results = run(lambda processes: [processes.gather(10 * turn + processes.rank) for turn in range(3)], size)
    assert results == [[[10 * turn + rank for rank in range(size)] for turn in range(3)]] * size


def test_what_process_0_makes_is_made_there_alone():
    made = []
    results = run(lambda processes: processes.first(lambda: made.append(processes.rank) or {"epoch": 1}))
    assert results == [{"epoch": 1}] * 3
    assert made == [0]


def test_no_process_ends_before_another_one_that_still_works():
    ended = {}

    def work(processes):
        processes.gather(None)
        time.sleep(0.3 if processes.is_first else 0.0)
        ended[processes.rank] = time.monotonic()

    def inside(processes):
        with processes:
            work(processes)
        return time.monotonic()

    with ThreadPoolExecutor(2) as threads:
        left = list(threads.map(inside, connected(2)))
    assert left[1] >= ended[0]


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (ValueError("data.train: expected a file"), "data.train: expected a file", 2),
        (FileNotFoundError(2, "No such file", "rows.csv"), "rows.csv: No such file", 2),
        (RuntimeError("out of luck"), "out of luck", 1),
        (KeyboardInterrupt(), "stopped by KeyboardInterrupt", 130),
        (Stopped(signal.SIGTERM), "stopped by SIGTERM", 143),
    ],
)
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_one_process_reaches_the_others_with_its_name(error, said, code, failing):
    def work(processes):
        if processes.rank == failing:
            raise error
        return processes.gather(None)

    results = run(work)
    assert results[failing] is error
    for rank in {0, 1, 2} - {failing}:
        assert isinstance(results[rank], ProcessError)
        assert re.fullmatch(rf"process {failing} \(.*, pid \d+\): {said}", str(results[rank]))
        assert results[rank].code == code


def test_who_ends_by_a_signal_that_all_agreed_on_is_not_gone():
    def work(processes):
        processes.gather("SIGTERM")
        raise SystemExit(143)

    assert [error.code for error in run(work)] == [143] * 3


def test_a_divergence_in_all_processes_stays_what_it_is():
    def work(processes):
        processes.gather(None)
        raise DivergenceError("loss: …", None, step=1, task=None, learning_rate=1.0)

    assert {type(error) for error in run(work)} == {DivergenceError}


@pytest.mark.parametrize("dead", [0, 1])
def test_a_connection_that_breaks_is_a_death(dead):
    processes = connected(2)
    with ThreadPoolExecutor(2) as threads:
        entered = [threads.submit(each.__enter__) for each in processes]
        for each in entered:
            each.result(timeout=60)
    for connection in processes[dead]._connections.values():
        with socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
    survivor = processes[1 - dead]
    with pytest.raises(ProcessError, match=rf"^process {dead} \(.*, pid \d+\) has died$"):
        survivor.gather(None)
    assert survivor.speaks
    for each in processes:
        each._ended.set()


def test_a_process_that_gives_no_sign_of_life_is_gone(monkeypatch):
    silent = Connected._beat
    monkeypatch.setattr(Connected, "_beat", lambda self: silent(self) if self.rank else None)  # process 0 is silent
    began = time.monotonic()

    def work(processes):
        if processes.is_first:
            time.sleep(2.0)
            return None
        return processes.gather(None)

    _, error = run(work, size=2, timeout=0.5)
    assert isinstance(error, ProcessError)
    assert "gave no sign of life for 0.5 s" in str(error)
    assert time.monotonic() - began < 30


def test_an_error_of_the_framework_is_blamed_on_the_process_that_is_gone():
    def work(processes):
        processes.gather(None)
        if processes.rank == 1:
            raise ValueError("rows: expected some, got none")
        with processes.computing():
            time.sleep(0.3)
            raise RuntimeError("connection closed by peer")

    first, _, third = run(work)
    for error in (first, third):
        assert isinstance(error, ProcessError)
        assert str(error).endswith("rows: expected some, got none")


def test_what_is_not_alike_is_named_with_the_process():
    facts = [{"train.seed": 1, "rows": "a"}, {"train.seed": 2, "rows": "a"}, {"train.seed": 1}]

    def work(processes):
        check_alike(processes, lambda: facts[processes.rank], "at the beginning", code=2)

    for error in run(work):
        assert isinstance(error, ProcessError)
        assert error.code == 2
        assert str(error) == (
            "expected the same in all processes at the beginning, got train.seed: 1 in process 0, 2 in process 1; "
            "rows: a in process 0, nothing in process 2"
        )


@pytest.mark.parametrize("ending", [0, 1])
def test_who_waits_for_a_process_that_has_ended_waits_no_longer(ending):
    def work(processes):
        processes.gather(None)  # the names are known by then
        if processes.rank == ending:
            raise SystemExit(1)
        return processes.gather(None)

    results = run(work)
    for rank in {0, 1, 2} - {ending}:
        assert isinstance(results[rank], ProcessError)
        assert f"process {ending} (" in str(results[rank])
        assert str(results[rank]).endswith(" has ended")


class Unreadable:
    def __reduce__(self):
        return (int, ("nothing",))


def test_what_cannot_be_read_is_said_and_ends_the_wait():
    first, second = run(lambda processes: processes.gather(Unreadable() if processes.rank else None), size=2)
    assert isinstance(first, ProcessError)
    assert "sent what cannot be read: invalid literal" in str(first)
    assert isinstance(second, ProcessError)
