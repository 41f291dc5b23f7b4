"""A run stopped at any step and resumed ends as if it had not been: parameters, slots and history, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import EarlyStopping, Schedule, initial_params
from tests.helpers.checkpoints import (
    DATA,
    MODEL,
    VALIDATION,
    as_of,
    assert_same_run,
    assert_same_state,
    short,
    steps_saved,
)
from tests.helpers.parity import compare_curves, compare_params

SAVE_EVERY = 3
"""Of four steps an epoch: calls of three steps, and of a single one, which XLA compiles without a loop."""


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["eager", "step", "epoch"])
def test_every_execution_resumes_bit_for_bit_at_the_first_a_middle_and_the_last_step(backend, tmp_path, execution):
    schedule = Schedule(kind="cosine", warmup_steps=2)
    train = short(backend, batch_size=10, execution=execution, schedule=schedule, clip_norm=1.0)
    model = replace(MODEL, dropout=0.3)
    # A scan over two steps is the one that PyTorch compiles.
    options = {"save_every": 2 if (backend.name, execution) == ("torch", "epoch") else SAVE_EVERY, "keep": 100}
    alone = backend.fit(model, train, DATA, VALIDATION, checkpoint=tmp_path / "alone", **options)
    steps = steps_saved(tmp_path / "alone")
    assert steps == ([2, 4, 6, 8] if options["save_every"] == 2 else [3, 4, 7, 8])
    for step in steps:
        own = as_of(tmp_path / "alone", step, tmp_path / f"from-{step}")
        resumed = backend.fit(model, train, DATA, VALIDATION, checkpoint=own, resume=True, **options)
        assert_same_run(resumed, alone)
        assert_same_state(load_checkpoint(own), load_checkpoint(tmp_path / "alone"))
    if execution != "epoch":  # where a call is a scan, one of another length is compiled and rounds by itself
        assert_same_run(backend.fit(model, train, DATA, VALIDATION), alone)


def test_every_kind_of_task_and_missing_labels(backend, tmp_path, model, data):
    train = short(backend, batch_size=5, early_stopping=EarlyStopping(monitor="span", patience=5))
    options = {"save_every": 2, "keep": 100}
    alone = backend.fit(model, train, data, data, checkpoint=tmp_path / "alone", **options)
    for step in (2, 6):
        own = as_of(tmp_path / "alone", step, tmp_path / f"{step}")
        assert_same_run(backend.fit(model, train, data, data, checkpoint=own, resume=True, **options), alone)


def test_a_run_resumed_in_other_pieces_follows_the_curve(backend, tmp_path):
    train = short(backend, precision="float64")
    alone = backend.fit(MODEL, train, DATA, checkpoint=tmp_path / "alone", save_every=3, keep=100)
    own = as_of(tmp_path / "alone", 3, tmp_path / "own")
    resumed = backend.fit(MODEL, train, DATA, checkpoint=own, save_every=2, resume=True)
    compare_curves(resumed.history, alone.history, 1e-12)


def test_a_finished_run_is_returned_as_it_was(backend, tmp_path):
    train = short(backend)
    whole = backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.name != ".lock"}
    assert_same_run(backend.fit(MODEL, train, DATA, VALIDATION, checkpoint=tmp_path, resume=True), whole)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.name != ".lock"} == before


def test_a_folder_without_a_checkpoint_is_a_start(backend, tmp_path):
    train = short(backend, epochs=1)
    resumed = backend.fit(MODEL, train, DATA, checkpoint=tmp_path / "new" / "folder", resume=True)
    assert_same_run(resumed, backend.fit(MODEL, train, DATA))


def test_more_epochs_go_on_at_a_constant_rate(backend, tmp_path):
    two, three = short(backend, epochs=2), short(backend, epochs=3)
    backend.fit(MODEL, two, DATA, VALIDATION, checkpoint=tmp_path)
    longer = backend.fit(MODEL, three, DATA, VALIDATION, checkpoint=tmp_path, resume=True)
    assert_same_run(longer, backend.fit(MODEL, three, DATA, VALIDATION))
    with pytest.raises(ValueError, match=r"train\.epochs: expected no fewer steps than the 15 that are done, got 10"):
        backend.fit(MODEL, two, DATA, VALIDATION, checkpoint=tmp_path, resume=True)


def test_given_params_are_where_it_started_and_need_not_be_given_again(backend, tmp_path):
    train, start = short(backend, epochs=1), initial_params(MODEL, seed=5)
    whole = backend.fit(MODEL, train, DATA, params=start, checkpoint=tmp_path / "alone", save_every=2, keep=9)
    for name, given in (("again", start), ("none", None)):
        own = as_of(tmp_path / "alone", 2, tmp_path / name)
        resumed = backend.fit(MODEL, train, DATA, params=given, checkpoint=own, save_every=2, resume=True)
        assert_same_run(resumed, whole)
    other = initial_params(MODEL, seed=6)
    with pytest.raises(ValueError, match=r"resume: expected the run of .*step-00000005, got another: start: "):
        backend.fit(MODEL, train, DATA, params=other, checkpoint=tmp_path / "alone", resume=True)


def test_where_it_started_is_not_forgotten_by_a_resume_without_it(backend, tmp_path):
    start, other = initial_params(MODEL, seed=5), initial_params(MODEL, seed=short(backend).seed)
    backend.fit(MODEL, short(backend, epochs=1), DATA, params=start, checkpoint=tmp_path)
    begun = load_checkpoint(tmp_path).run.start
    backend.fit(MODEL, short(backend, epochs=2), DATA, checkpoint=tmp_path, resume=True)
    assert (load_checkpoint(tmp_path).step, load_checkpoint(tmp_path).run.start) == (10, begun)
    longer = short(backend, epochs=3)
    with pytest.raises(ValueError, match=r"got another: start: "):
        backend.fit(MODEL, longer, DATA, params=other, checkpoint=tmp_path, resume=True)
    resumed = backend.fit(MODEL, longer, DATA, params=start, checkpoint=tmp_path, resume=True)
    assert_same_run(resumed, backend.fit(MODEL, longer, DATA, params=start))


def test_auto_stays_with_the_execution_that_it_began_with(backend, monkeypatch, tmp_path):
    train = short(backend)
    alone = backend.fit(MODEL, train, DATA, checkpoint=tmp_path / "alone", save_every=3, keep=9)
    own = as_of(tmp_path / "alone", 3, tmp_path / "own")
    monkeypatch.setattr(backend, "best_execution", lambda *_: "step")
    resumed = backend.fit(MODEL, replace(train, execution="auto"), DATA, checkpoint=own, save_every=3, resume=True)
    assert_same_run(resumed, alone)


def test_what_is_loaded_predicts(backend, tmp_path):
    train = short(backend)
    fitted = backend.fit(MODEL, train, DATA, checkpoint=tmp_path)
    saved = load_checkpoint(tmp_path)
    assert (saved.model, saved.train, saved.step, saved.epoch) == (MODEL, train, 10, 2)
    assert saved.backend == backend.name
    own, theirs = (backend.predict(saved.model, params, VALIDATION) for params in (fitted.params, saved.params))
    for task, predicted in own.items():
        np.testing.assert_array_equal(predicted, theirs[task])
    compare_params(saved.params, fitted.params, 0)
