"""The processes, or the devices of one, that `fit` trains with, however they came together."""

import pytest

from tests.helpers.backends import each_backend, installed
from tests.helpers.checkpoints import assert_same_run
from tests.helpers.joining import fit_twice, refused
from tests.helpers.processes import together


@each_backend
def test_fit_joins_the_group_that_the_program_has_initialised(name, tmp_path):
    installed(name)
    runs, others = together(2, fit_twice, name, tmp_path)
    assert len(runs) == len(others) == {"jax": 2, "torch": 3}[name]
    for run in (*runs, *others):
        assert run.history.processes == 2
        assert_same_run(run, runs[0])


def test_every_device_has_a_row_of_each_batch():
    pytest.importorskip("jax")
    (message,) = together(1, refused, "jax", 2, devices=4)
    expected = "expected a row of each batch for each of the 4 devices that share it"
    assert message == f"train.batch_size: {expected}, got 2"
