"""Processes with unlike arguments, rows or versions do not train: one line says what differs, and in which."""

import functools
import re

import pytest

from tests.helpers.backends import each_backend, installed
from tests.helpers.checkpoints import assert_same_run
from tests.helpers.differing import DIFFERENCES, fit_otherwise
from tests.helpers.processes import together


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What each of two processes returned, by rank."""

    @functools.cache
    def results(backend):
        installed(backend)
        return together(2, fit_otherwise, backend, str(tmp_path_factory.mktemp(backend) / "run"))

    return results


@pytest.mark.parametrize("what", DIFFERENCES)
@each_backend
def test_one_line_says_what_differs(ended, name, what):
    (message, code), second = (ends[what] for ends, _ in ended(name))
    assert second == (message, code)
    assert (code, "\n" in message) == (2, False)
    said = DIFFERENCES[what].said
    assert re.match(f"expected the same in all processes at the beginning, got {said}", message), message


@each_backend
def test_the_same_processes_can_train_afterwards(ended, name):
    (_, first), (_, second) = ended(name)
    assert first.history.processes == 2
    assert_same_run(first, second)
