"""How the bench measures: what is timed, in which order; and that what it compares with trains the same network."""

from dataclasses import replace

import numpy as np
import pytest

from bench import timing
from bench.cases import load_cases
from bench.references import Loop, supports
from bench.results import Run
from bench.timing import BackendRunner, Contestant, measure
from spec import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CategoricalFeature,
    ModelSpec,
    RMSprop,
    Schedule,
    TaskSpec,
    TrainSpec,
    load_backend,
    presets,
)
from spec.machine import Machine

CASE = replace(load_cases("tutorial", None)[0], steps=4, checked=3)


class Fake:
    """A runner that says when it ran."""

    steps = 2

    def __init__(self, name, said):
        self.name, self.said = name, said

    def run(self, steps):
        self.said.append((self.name, steps))
        return np.arange(steps, dtype=float)


class FakeBackend:
    name = "fake"

    def matmul(self, size, device):
        return lambda: None

    def peak_memory(self, device):
        return None


def test_first_calls_come_first_and_repetitions_are_interleaved(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    said = []
    contestants = [
        Contestant(case=CASE, backend="fake", execution=name, device="cpu", build=lambda name=name: Fake(name, said))
        for name in ("one", "other")
    ]
    machine = Machine(system="", processor="", cores=1, memory_bytes=None, versions={})
    run = Run(command="", started="", case="", rows_from="", threads=1, caches="", machine=machine)
    measure(run, FakeBackend(), "cpu", contestants, 3, lambda text: None)
    warm = [("one", 2), ("other", 2)]
    assert said == [("one", 4), ("other", 4), *warm, *warm * 3]
    assert [len(row.step_microseconds) for row in run.rows] == [3, 3]
    assert [(row.loss, row.checked) for row in run.rows] == [(2.0, 3)] * 2
    assert len(run.matmul_gflops["fake"]) == 3


def test_every_call_gathers_its_rows(monkeypatch):
    take, gathered = timing.BatchSource.take, []

    def noted(self, order):
        gathered.append(len(order))
        return take(self, order)

    monkeypatch.setattr(timing.BatchSource, "take", noted)
    runner = BackendRunner(load_backend("torch"), CASE, "eager", "cpu")
    for calls in range(1, 7):  # more than the epoch has
        runner.run(2)
        assert gathered == [2 * 32] * calls


@pytest.mark.parametrize(("execution", "calls"), [("eager", [32, 8]), ("epoch", [40])])
def test_calls_are_cut_as_those_of_the_training_loop(monkeypatch, execution, calls):
    backend, lengths = load_backend("torch"), []

    class Trainer:
        def run(self, batches):
            lengths.append(len(batches["learning_rate"]))
            return np.zeros((lengths[-1], 1))

    monkeypatch.setattr(backend, "trainer", lambda *arguments, **others: Trainer())
    case = replace(CASE, train=replace(CASE.train, batch_size=16), steps=40)
    BackendRunner(backend, case, execution, "cpu").run(40)
    assert lengths == calls


def test_a_repetition_is_the_mean_of_as_many_calls_as_fill_it(monkeypatch):
    clock, calls = iter([0.0, 0.3, 0.6, 0.9, 1.2]), []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(timing, "SECONDS", 0.8)
    assert timing.repeat(lambda: calls.append(1)) == pytest.approx(0.3)
    assert len(calls) == 3


@pytest.mark.parametrize("limit", [10**9, 3000])
def test_a_runner_goes_on_where_it_was_however_small_its_calls(monkeypatch, limit):
    """3,000 bytes hold one step of the tutorial."""
    expected = load_backend("torch").fit(CASE.model, replace(CASE.train, execution="eager"), CASE.read()).history
    monkeypatch.setattr("backends.batches.MAX_CALL_BYTES", limit)
    runner = BackendRunner(load_backend("torch"), CASE, "eager", "cpu")
    losses = np.concatenate([runner.run(4) for _ in range(20)])
    np.testing.assert_allclose(losses, expected.step_loss[:80], rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        Adam(beta1=0.8, beta2=0.9, eps=1e-6),
        AdamW(weight_decay=0.1),
        Adagrad(initial_accumulator=0.1),
        RMSprop(decay=0.9, momentum=0.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("loader", [True, False])
def test_the_loops_train_the_same_network(optimizer, loader):
    model = ModelSpec(
        numeric=3,
        categorical=(CategoricalFeature(name="colour", vocabulary=5, dimension=2),),
        trunk=(6, 5),
        tasks=(
            TaskSpec(name="click", kind="binary", hidden=(4,), weight=0.5),
            TaskSpec(name="region", kind="multiclass", outputs=3),
            TaskSpec(name="span", kind="regression", outputs=2),
        ),
        activation="gelu",
        normalization="layer",
    )
    train = TrainSpec(
        optimizer=optimizer,
        schedule=Schedule(kind="cosine", warmup_steps=3),
        clip_norm=0.5,
        batch_size=8,
        epochs=2,
        precision="float64",
        execution="eager",
        device="cpu",
    )
    data = presets.random_data(model, 30)
    case = replace(CASE, model=model, train=train, rows=30, read=lambda: data, steps=4)
    expected = load_backend("torch").fit(model, train, data).history.step_loss
    np.testing.assert_allclose(Loop(case, loader=loader).run(8), expected, rtol=1e-9)


def test_the_sparse_loop_trains_by_lazy_updates():
    """torch.optim.SparseAdam adds eps before the bias correction, the spec after it: a small eps makes no odds."""
    model = ModelSpec(
        numeric=3,
        categorical=tuple(CategoricalFeature(name=name, vocabulary=50, dimension=4) for name in ("user", "item")),
        trunk=(6, 5),
        tasks=(TaskSpec(name="click", kind="binary", hidden=(4,)),),
    )
    train = TrainSpec(
        optimizer=Adam(learning_rate=0.01, eps=1e-14),
        schedule=Schedule(kind="cosine"),
        batch_size=8,
        epochs=4,
        precision="float64",
        execution="eager",
        device="cpu",
        embedding_updates="lazy",
    )
    data = presets.random_data(model, 30)
    case = replace(CASE, model=model, train=train, rows=30, read=lambda: data, steps=4)
    lazy, dense = (
        load_backend("torch").fit(model, replace(train, embedding_updates=updates), data).history.step_loss
        for updates in ("lazy", "dense")
    )
    losses = Loop(case, loader=False).run(16)
    np.testing.assert_allclose(losses, lazy, rtol=1e-9)
    assert np.abs(losses / dense - 1).max() > 1e-5


@pytest.mark.parametrize(
    ("fields", "supported"),
    [
        ({}, True),
        ({"clip_norm": 1.0}, False),
        ({"optimizer": Adam(weight_decay=0.1)}, False),
        ({"optimizer": AdamW()}, False),
        ({"optimizer": SGD()}, False),
    ],
    ids=str,
)
def test_the_sparse_loop_leaves_out_what_it_has_no_code_for(fields, supported):
    lazy = replace(CASE, train=replace(CASE.train, embedding_updates="lazy", **fields))
    assert supports(lazy) is supported
    assert supports(replace(lazy, train=replace(lazy.train, embedding_updates="dense")))


@pytest.mark.parametrize("fields", [{"length": 2}, {"trainable": False}, {"table": "size"}], ids=str)
def test_the_loops_leave_out_what_they_have_no_code_for(fields):
    features = [CategoricalFeature(name=name, vocabulary=5, dimension=2) for name in ("colour", "size")]
    plain, other = (
        replace(CASE.model, categorical=(first, features[1])) for first in (features[0], replace(features[0], **fields))
    )
    assert supports(replace(CASE, model=plain))
    assert not supports(replace(CASE, model=other))
