"""The caller's function that `fit` calls after each epoch: what it is given, and what it can do."""

import io
from dataclasses import replace

import numpy as np
import pytest

from shared_bottom import ProcessError, fit_table
from shared_bottom.checkpoint.folder import load_checkpoint
from spec import Adam, EarlyStopping
from tests.helpers.backends import installed
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, assert_same_run, short, steps_saved
from tests.helpers.cli import EXPERIMENT, changed, table
from tests.helpers.joining import ended_by_process_0
from tests.helpers.parity import compare_params
from tests.helpers.processes import together
from tests.helpers.runs import quickest


class PrunedError(Exception):
    """What a search's library might raise."""


def test_it_is_given_each_epochs_record_and_cannot_change_it(backend):
    records = []

    def on_epoch(record):
        records.append(dict(record, metrics={task: dict(values) for task, values in record["metrics"].items()}))
        record["metrics"].clear()
        record["loss"] = 0.0

    fitted = backend.fit(MODEL, short(backend, epochs=3), DATA, VALIDATION, on_epoch=on_epoch)
    assert records == fitted.history.epochs
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert all(record["metrics"]["click"]["auc"] > 0 for record in records)


@pytest.mark.parametrize("true", [True, np.True_])
def test_true_ends_the_run_as_if_the_epoch_had_been_the_last(backend, tmp_path, true):
    ended = backend.fit(
        MODEL,
        short(backend, epochs=4),
        DATA,
        checkpoint=tmp_path / "ended",
        save_every=15,
        on_epoch=lambda record: true if record["epoch"] == 2 else None,
    )
    assert_same_run(ended, backend.fit(MODEL, short(backend, epochs=2), DATA))
    assert steps_saved(tmp_path / "ended") == [10]  # the run's end, which is no multiple of 15 steps


@pytest.mark.parametrize("returned", [None, False, 1, "True", np.float64(1.0)])
def test_whatever_else_it_returns_the_run_goes_on(returned):
    backend = installed("torch")
    fitted = backend.fit(MODEL, short(backend, epochs=3), DATA, on_epoch=lambda record: returned)
    assert len(fitted.history.epochs) == 3


def test_the_weights_are_those_of_the_best_epoch_so_far():
    backend, stopping = installed("torch"), EarlyStopping(monitor="loss", patience=5)
    train = short(backend, epochs=5, optimizer=Adam(learning_rate=0.3), early_stopping=stopping)
    whole = backend.fit(MODEL, train, DATA, VALIDATION)
    best = whole.history.best_epoch
    assert best < 5
    ended = backend.fit(MODEL, train, DATA, VALIDATION, on_epoch=lambda record: record["epoch"] == best + 1)
    assert (len(ended.history.epochs), ended.history.best_epoch) == (best + 1, best)
    compare_params(ended.params, whole.params, 0)


def test_an_exception_reaches_the_caller_as_it_is_and_the_epoch_is_saved(backend, tmp_path):
    raised = PrunedError("no better than the others")

    def on_epoch(record):
        if record["epoch"] == 2:
            raise raised

    with pytest.raises(PrunedError) as caught:
        backend.fit(MODEL, short(backend, epochs=3), DATA, checkpoint=tmp_path, on_epoch=on_epoch)
    assert caught.value is raised
    assert load_checkpoint(tmp_path).step == 10


def test_it_is_called_after_the_epochs_checkpoint_if_one_is_due(tmp_path):
    backend, saved = installed("torch"), []
    train = short(backend, epochs=4)
    backend.fit(
        MODEL, train, DATA, checkpoint=tmp_path, save_every=10, on_epoch=lambda _: saved.append(steps_saved(tmp_path))
    )
    assert saved == [[], [10], [10], [10, 20]]


def test_a_resumed_run_calls_it_for_the_epochs_that_are_left(backend, tmp_path):
    train, epochs = short(backend, epochs=4), []
    backend.fit(MODEL, train, DATA, checkpoint=tmp_path, on_epoch=lambda record: record["epoch"] == 2)
    resumed = backend.fit(
        MODEL, train, DATA, checkpoint=tmp_path, resume=True, on_epoch=lambda record: epochs.append(record["epoch"])
    )
    assert epochs == [3, 4]
    assert_same_run(resumed, backend.fit(MODEL, train, DATA))


@pytest.mark.parametrize("value", [True, "print", 3, io.StringIO()])
def test_what_cannot_be_called_is_refused(value):
    backend = installed("torch")
    with pytest.raises(ValueError, match=r"^on_epoch: expected a function of an epoch's record, or None, got "):
        backend.fit(MODEL, short(backend), DATA, on_epoch=value)


def test_fit_table_takes_it_too(backend):
    train = replace(EXPERIMENT.train, execution=quickest(backend.name), epochs=3)
    experiment = replace(changed(EXPERIMENT, train=(), test=()), train=train)
    trained = fit_table(
        experiment, table(60), backend=backend.name, progress="none", on_epoch=lambda record: record["epoch"] == 1
    )
    assert len(trained.history.epochs) == 1


@pytest.mark.slow
def test_process_0_decides_for_all_processes():
    installed("torch")
    results = together(2, ended_by_process_0, "torch")
    for epochs, _ in results:
        assert epochs == 2
    (_, own), (_, others) = results
    assert (type(own), str(own)) == (LookupError, "enough")
    assert isinstance(others, ProcessError)
    assert str(others).startswith("process 0 (")
    assert str(others).endswith("): enough")
