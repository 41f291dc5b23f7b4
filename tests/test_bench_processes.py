"""The bench of processes: that every number of them trains the same, and what is said if one is gone."""

import multiprocessing
import os
import threading

import pytest

from backends.settings import patient_threads
from bench.options import Options, process_counts
from bench.processes import Group
from shared_bottom.run.errors import ProcessError
from spec import to_toml
from tests.helpers.bench_command import SMALL, alone, measured
from tests.helpers.builders import rejection


@pytest.mark.parametrize(("backend", "execution"), [("jax", "epoch"), ("torch", "eager")])
def test_two_processes_train_what_one_does(tmp_path, backend, execution):
    path = tmp_path / "small.toml"
    path.write_text(to_toml(SMALL))
    options = ["--backend", backend, "--execution", execution, "--processes", "2,1", "--steps", "8"]
    run, said = measured(alone, tmp_path, *options, "--case", path)
    assert [(row.execution, row.processes) for row in run.rows] == [(execution, 2), (execution, 1)]
    two, one = run.rows
    assert two.loss == pytest.approx(one.loss, rel=1e-6)
    assert (len(two.sum_microseconds), one.sum_microseconds) == (1, [])
    assert min(two.sum_microseconds) > 0
    assert run.efficiency(one) == 1.0
    assert "threads of each of the n processes: 1" in said
    assert "No loop to compare with" not in said


def test_a_process_that_is_gone_is_named():
    with Group(2, Options(backend="torch"), ("eager",), "cpu") as group:
        for process in multiprocessing.active_children():
            process.kill()
        with pytest.raises(ProcessError, match=r"^process [01] of 2 has died$"):
            group.answer()
    assert multiprocessing.active_children() == []


def test_an_error_of_a_process_is_raised():
    with (
        Group(1, Options(backend="torch", case="nowhere.toml"), ("eager",), "cpu") as group,
        pytest.raises(ValueError, match="expected a file that can be read"),
    ):
        group.answer()


@pytest.mark.parametrize("text", ["", "0", "1,", "1,1", "1, two", "-1", "1.5"])
def test_processes_are_different_numbers_above_0(text):
    expected = "--processes: expected different numbers above 0, separated by commas, got"
    assert rejection(process_counts, text) == f"{expected} {text!r}"


def test_processes_are_in_the_order_in_which_they_are_named():
    assert process_counts("4,1,2") == [4, 1, 2]
    assert process_counts(None) == []


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has threads of this kind")
def test_patient_threads_are_those_that_start_in_the_block():
    def policy_of_a_thread():
        policies = []
        thread = threading.Thread(target=lambda: policies.append(os.sched_getscheduler(0)))
        thread.start()
        thread.join()
        return policies

    with patient_threads():
        assert policy_of_a_thread() == [os.SCHED_BATCH]
    assert [os.sched_getscheduler(0), *policy_of_a_thread()] == [os.SCHED_OTHER] * 2
