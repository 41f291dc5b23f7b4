"""A loss that is NaN or infinite stops the run at that step, whatever the execution, and loses nothing before it."""

from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import CheckpointWarning, load_checkpoint
from spec import SGD, Adam, DivergenceError, GradNorm, Schedule
from tests.helpers.checkpoints import DATA, MODEL, VALIDATION, as_of, assert_same_run, short, steps_saved
from tests.helpers.runs import executions

ROW, STEP = 20, 7
"""In their own order and batches of 8, row 20 is in the third of five steps: step 2, and step 7 of the second epoch."""

NOT_FINITE = "its parameters, optimizer slots or balance are not finite"


def exploding(task="price", value=1e30):
    """Rows of which one overflows float32 once it is squared."""
    label = DATA.labels[task].astype(float).copy()
    label[ROW] = value
    return replace(DATA, labels=DATA.labels | {task: label})


def calm(backend, **fields):
    """A schedule that gives each step a rate of its own."""
    own = {"optimizer": SGD(learning_rate=0.1), "schedule": Schedule(kind="linear"), "shuffle": False}
    return short(backend, **(own | fields))


def explode_in_the_second_epoch(backend, monkeypatch, task="price"):
    """From step 5 on, batches come from the rows that explode."""
    import shared_bottom.run.loop

    original = shared_bottom.run.loop.epoch_calls

    def calls(train, source, epoch, *rest):
        if epoch == 1:
            source = shared_bottom.run.loop.BatchSource(
                source.layout, exploding(task), train.batch_size, train.precision
            )
        return original(train, source, epoch, *rest)

    monkeypatch.setattr(shared_bottom.run.loop, "epoch_calls", calls)


@executions
def test_the_step_the_task_and_the_rate_are_named(backend, execution):
    train = calm(backend, execution=execution)
    healthy = backend.fit(MODEL, train, DATA).history
    with pytest.raises(DivergenceError) as caught:
        backend.fit(MODEL, train, exploding(), VALIDATION)
    error = caught.value
    assert (error.step, error.task, error.learning_rate) == (2, "price", pytest.approx(0.08))
    assert str(error) == (
        "loss: expected finite values, got inf of task 'price' at step 2 (from 0), epoch 1, learning rate 0.08"
    )
    history = error.history
    assert (history.step_loss.shape, history.epochs, history.execution) == ((3,), [], execution)
    np.testing.assert_array_equal(history.step_loss[:2], healthy.step_loss[:2])
    np.testing.assert_allclose(history.task_loss["click"], healthy.task_loss["click"][:3], rtol=1e-6)
    assert history.step_loss[2] == history.task_loss["price"][2] == np.inf


def test_the_last_good_checkpoint_is_kept_and_named(backend, monkeypatch, tmp_path):
    explode_in_the_second_epoch(backend, monkeypatch)
    train = calm(backend)
    last = tmp_path / "step-00000007"
    said = rf"at step {STEP} \(from 0\), epoch 2.*; the newest checkpoint is {last}$"
    with pytest.raises(DivergenceError, match=said):
        backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path, save_every=1)
    assert steps_saved(tmp_path) == [5, 6, 7]
    saved = load_checkpoint(tmp_path)
    assert np.isfinite(saved.history.step_loss).all()
    assert all(np.isfinite(value).all() for value in saved.params.values())
    with pytest.raises(DivergenceError) as again:
        backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path, save_every=1, resume=True)
    history = again.value.history
    assert (again.value.step, [epoch["step"] for epoch in history.epochs], len(history.step_loss)) == (STEP, [5], 8)
    monkeypatch.undo()
    healed = backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path, save_every=1, resume=True)
    alone = backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path / "alone", save_every=1)
    assert_same_run(healed, alone)


def test_nothing_is_saved_of_a_call_that_diverged(backend, monkeypatch, tmp_path):
    explode_in_the_second_epoch(backend, monkeypatch)
    with pytest.raises(DivergenceError, match=f"at step {STEP} "):
        backend.fit(MODEL, calm(backend), DATA, checkpoint=tmp_path, save_every=4)
    assert steps_saved(tmp_path) == [4, 5]


def test_nan_counts_as_infinity_does(backend, monkeypatch):
    original = backend.trainer

    def trainer(*args, **options):
        made = original(*args, **options)
        run = made.run

        def broken(batches):
            losses = run(batches)
            losses[3, :] = np.nan
            return losses

        made.run = broken
        return made

    monkeypatch.setattr(backend, "trainer", trainer)
    with pytest.raises(DivergenceError, match="got nan of task 'click' at step 3 ") as caught:
        backend.fit(MODEL, calm(backend), DATA)
    assert caught.value.task == "click"


def test_a_sum_that_overflows_is_no_tasks(backend):
    heavy = replace(MODEL, tasks=(MODEL.tasks[0], replace(MODEL.tasks[1], weight=1e38)))
    data = exploding(value=1e3)
    with pytest.raises(DivergenceError, match="got inf of all tasks together at step 2 ") as caught:
        backend.fit(heavy, calm(backend, optimizer=SGD(learning_rate=1e-45), schedule=Schedule()), data)
    assert caught.value.task is None


def test_it_goes_on_if_asked_to_and_resumes_with_what_is_not_finite(backend, tmp_path):
    train = calm(backend, on_divergence="continue")
    options = {"save_every": 2, "keep": 9}
    with pytest.warns(UserWarning, match="a prediction is not finite"):
        whole = backend.fit(MODEL, train, exploding(), VALIDATION, checkpoint=tmp_path / "alone", **options)
    np.testing.assert_array_equal(np.isfinite(whole.history.step_loss), np.arange(10) < 2)
    assert np.isinf(whole.history.step_loss[2])
    assert np.isnan(whole.history.step_loss[9])
    assert np.isnan(whole.history.epochs[1]["loss"])
    assert np.isnan(whole.history.epochs[1]["metrics"]["price"]["rmse"])
    own = as_of(tmp_path / "alone", 7, tmp_path / "own")
    resumed = backend.fit(MODEL, train, exploding(), VALIDATION, checkpoint=own, resume=True, **options)
    np.testing.assert_array_equal(resumed.history.step_loss, whole.history.step_loss)
    np.testing.assert_equal(resumed.history.epochs[1]["metrics"], whole.history.epochs[1]["metrics"])
    for name, value in resumed.params.items():
        np.testing.assert_array_equal(value, whole.params[name])


def test_a_run_that_went_on_cannot_be_resumed_as_one_that_stops(backend, tmp_path):
    train = calm(backend, on_divergence="continue", epochs=1)
    backend.fit(MODEL, train, exploding(), checkpoint=tmp_path)
    said = (
        rf"^train\.on_divergence: expected 'continue', since .*step-{5:08d} has losses that are not finite, got 'stop'$"
    )
    with pytest.raises(ValueError, match=said):
        backend.fit(MODEL, replace(train, on_divergence="stop"), exploding(), checkpoint=tmp_path, resume=True)


def test_parameters_that_are_not_finite_are_not_saved(backend, tmp_path):
    train = calm(backend, optimizer=SGD(learning_rate=3e38), schedule=Schedule(), batch_size=36, epochs=1)
    loud = replace(DATA, labels=DATA.labels | {"price": DATA.labels["price"] * 1e6})
    with pytest.warns(CheckpointWarning, match=f"step 1 was not saved: {NOT_FINITE};"):
        fitted = backend.fit(MODEL, train, loud, checkpoint=tmp_path)
    assert np.isfinite(fitted.history.step_loss).all()
    assert steps_saved(tmp_path) == []


def test_slots_that_are_not_finite_are_not_saved(backend, tmp_path):
    """The decay's square overflows float32 in nu, which makes Adam's step 0."""
    train = calm(backend, optimizer=Adam(weight_decay=1e25), schedule=Schedule(), batch_size=36, epochs=1)
    with pytest.warns(CheckpointWarning, match=f"step 1 was not saved: {NOT_FINITE};"):
        fitted = backend.fit(MODEL, train, DATA, checkpoint=tmp_path)
    assert all(np.isfinite(value).all() for value in fitted.params.values())
    assert steps_saved(tmp_path) == []


def test_a_balance_that_is_not_finite_is_not_saved(backend, tmp_path):
    """GradNorm's factors overflow float32; they count from the next step on, and there is none."""
    own = {"optimizer": SGD(learning_rate=1e-6), "schedule": Schedule(), "batch_size": 36, "epochs": 1}
    train = calm(backend, balancing=GradNorm(learning_rate=3e38), **own)
    heavy = replace(MODEL, tasks=tuple(replace(task, weight=1e4) for task in MODEL.tasks))
    with pytest.warns(CheckpointWarning, match=f"step 1 was not saved: {NOT_FINITE};"):
        fitted = backend.fit(heavy, train, DATA, checkpoint=tmp_path)
    assert all(np.isfinite(value).all() for value in fitted.params.values())
    assert not np.isfinite(fitted.balance["factor"]).all()
    assert steps_saved(tmp_path) == []
