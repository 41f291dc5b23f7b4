"""Whether sharing helps: problems made so that it does, or does not, and the arithmetic by hand."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import stats

from bench.sharing import runs as sharing_runs
from bench.sharing.cases import from_file
from bench.sharing.plots import plot_sharing
from bench.sharing.report import explanations, print_sharing
from bench.sharing.runs import cosines, with_one_task
from bench.sharing.summary import outcome, pair
from spec import (
    CategoricalColumn,
    EarlyStopping,
    TaskSpec,
    initial_params,
    load_backend,
    parameter_shapes,
)
from tests.helpers.builders import rejection, task
from tests.helpers.cli import EXPERIMENT, changed, write_experiment
from tests.helpers.sharing import TRAIN, apart, problem, studied


def rare(inputs):
    """One target twice, of which a few training rows have the first one's label."""
    target = inputs.sum(axis=1) / math.sqrt(inputs.shape[1])
    some = np.arange(len(inputs)) % 20 == 0 if len(inputs) == 200 else np.full(len(inputs), True)
    return {"a": np.where(some, target, np.nan), "b": target}


class TestVerdict:
    def test_labels_of_another_task_help_one_that_has_few(self):
        run = studied(problem(rare, width=20, trunk=(4,)), count=6)
        found = {own.task: own for own in run.outcomes}
        assert found["a"].verdict == "helps"
        assert found["a"].value < found["a"].reference  # an rmse: lower is better
        assert found["a"].difference == pytest.approx(found["a"].reference - found["a"].value)
        assert run.labelled == {"a": 0.05, "b": 1.0}

    def test_a_trunk_too_narrow_for_two_hurts_the_one_with_the_smaller_loss(self):
        run = studied(problem(apart))
        found = {own.task: own for own in run.outcomes}
        assert found["a"].verdict == "hurts"
        assert found["a"].interval[1] < 0
        assert [seed.seed for seed in run.seeds] == [0, 1, 2]
        assert all(len(seed.ways["shared_bottom"].cosine["a, b"]) == 1 + TRAIN.epochs for seed in run.seeds)

    def test_alone_is_the_same_run_but_for_the_other_task(self):
        """A task of weight 0 pulls at nothing, so that together is then alone: rows, order, steps and start are one."""
        train = replace(TRAIN, precision="float64", epochs=2)
        (seed,) = studied(
            problem(apart, tasks=(task(name="a"), task(name="b", weight=0.0)), train=train), count=1
        ).seeds
        shared = seed.ways["shared_bottom"]
        assert shared.metrics["a"] == pytest.approx(seed.alone["a"], rel=1e-9)
        assert shared.metrics["b"]["rmse"] > 1.05 * seed.alone["b"]["rmse"]  # alone, its weight is 1
        assert np.isfinite(shared.cosine["a, b"]).all()

    def test_early_stopping_is_left_out(self):
        made = problem(apart, train=replace(TRAIN, epochs=2, early_stopping=EarlyStopping(monitor="a")))
        run = studied(made, count=1)
        assert "Early stopping is left out, so that no run has fewer steps than another." in explanations(run)
        assert len(run.seeds[0].ways["shared_bottom"].cosine["a, b"]) == 3

    def test_torch_finds_the_same(self):
        pytest.importorskip("torch")
        train = replace(TRAIN, precision="float64", epochs=2, execution="eager")
        made = problem(apart, train=train)
        one, other = (studied(made, name, count=1).seeds[0] for name in ("torch", "jax"))
        shared, others = one.ways["shared_bottom"], other.ways["shared_bottom"]
        assert shared.cosine["a, b"] == pytest.approx(others.cosine["a, b"], abs=1e-9)
        for name in "ab":
            assert shared.metrics[name] == pytest.approx(others.metrics[name], rel=1e-9)
            assert one.alone[name] == pytest.approx(other.alone[name], rel=1e-9)

    def test_a_metric_that_is_not_defined_is_no_verdict(self, capsys):
        def one_class(inputs):
            return {"a": (inputs[:, 0] > (0 if len(inputs) == 200 else -9)).astype(float), "b": inputs[:, 1]}

        tasks = (TaskSpec(name="a", kind="binary"), task(name="b"))
        run = studied(problem(one_class, tasks=tasks, train=replace(TRAIN, epochs=1)), count=2)
        a, b = run.outcomes
        assert (a.verdict, a.interval) == ("not known", None)
        assert math.isnan(a.difference)
        assert b.interval is not None
        assert run.notes == ["metric a.auc is not defined: all 300 labels are 1"]
        assert plot_sharing(run, "png").startswith(b"\x89PNG")
        print_sharing(run)
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.split()[:2] == ["a", "auc"])
        assert line.split()[2:] == ["–", "–", "–", "not", "known"]


class TestCosine:
    @pytest.mark.parametrize(("sign", "close"), [(1.0, 0.99), (-1.0, -0.99)])
    def test_at_the_start_it_says_whether_the_targets_agree(self, sign, close):
        def targets(inputs):
            noise = np.random.default_rng(3).standard_normal(len(inputs))
            return {"a": 50 * inputs[:, 0], "b": sign * 50 * inputs[:, 0] + noise}

        made = problem(targets)
        seeds = range(6)
        found = []
        for seed in seeds:
            params = initial_params(made.model, seed=seed)
            heads = [float(params[f"tasks.{name}.0.kernel"].item()) for name in "ab"]
            (cosine,) = cosines(load_backend("jax"), made.model, made.train, params, made.data).values()
            found.append(cosine * math.copysign(1.0, heads[0] * heads[1]))  # what comes through one unit
        assert min(cosine * sign for cosine in found) > close * sign

    def test_it_is_that_of_the_gradients_of_each_task_alone(self, backend, model, data, monkeypatch):
        """Labels missing, rows weighted, all kinds of task; in one part and in several, of which the first has no
        weight for one task.
        """
        data = replace(data, task_weight={"price": (np.arange(20) >= 7).astype(float)})
        params = initial_params(model, seed=1, precision="float64")
        flat = []
        for own in model.tasks:
            one = with_one_task(model, own)
            shared = {name: value for name, value in params.items() if name in parameter_shapes(one)}
            _, gradient = backend.gradients(one, shared, sharing_runs.labels_of(data, one), device="cpu")
            flat.append(np.concatenate([g.ravel() for name, g in gradient.items() if not name.startswith("tasks.")]))
        expected = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in itertools.combinations(flat, 2)]
        for most in (8192, 7):
            monkeypatch.setattr(sharing_runs, "GRADIENT_BATCH", most)
            found = cosines(backend, model, TRAIN, params, data)
            assert list(found)[:2] == ["click, price", "click, buy"]
            assert list(found.values()) == pytest.approx(expected, abs=1e-12)

    def test_a_task_without_a_label_has_none(self, model, data):
        rows = replace(data, labels=data.labels | {"click": np.full(20, np.nan)})
        found = cosines(load_backend("jax"), model, TRAIN, initial_params(model), rows)
        assert {name for name, value in found.items() if math.isnan(value)} == {n for n in found if "click" in n}

    def test_the_rows_are_the_same_every_time(self, data):
        first, again = sharing_runs.draw(data, 8), sharing_runs.draw(data, 8)
        assert first.rows == 8
        np.testing.assert_array_equal(first.numeric, again.numeric)
        assert sharing_runs.draw(data, 4096).rows == 20


class TestArithmetic:
    @pytest.mark.parametrize(("metric", "sign"), [("auc", 1), ("accuracy", 1), ("rmse", -1), ("pinball", -1)])
    def test_the_difference_by_hand(self, metric, sign):
        found = outcome("a", metric, [1.0, 2.0, 4.0], [2.0, 4.0, 4.5])
        assert (found.reference, found.value) == (pytest.approx(7 / 3), 3.5)
        assert found.reference_deviation == pytest.approx(math.sqrt((16 + 1 + 25) / 9 / 2))
        assert found.difference == pytest.approx(sign * 3.5 / 3)  # the mean of 1, 2 and 0.5
        half = (
            4.302652729911275 * math.sqrt((1 / 36 + 25 / 36 + 16 / 36) / 2) / math.sqrt(3)
        )  # t of 2 degrees at 97.5 %
        assert found.interval == pytest.approx((found.difference - half, found.difference + half))
        assert (found.seeds, found.verdict) == (3, "no difference shown")

    def test_the_interval_is_that_of_a_paired_t_test(self):
        alone, shared = np.random.default_rng(5).normal([[0.0], [3.0]], size=(2, 6))
        expected = stats.ttest_rel(shared, alone).confidence_interval(0.95)
        found = outcome("a", "auc", alone.tolist(), shared.tolist())
        assert found.interval == pytest.approx((expected.low, expected.high))
        assert found.verdict == "helps"
        assert outcome("a", "log_loss", alone.tolist(), shared.tolist()).verdict == "hurts"

    def test_one_seed_has_no_interval(self):
        found = outcome("a", "rmse", [2.0], [1.0])
        assert (found.difference, found.interval, found.reference_deviation, found.verdict) == (
            1.0,
            None,
            None,
            "not known",
        )

    def test_no_spread_is_an_interval_of_one_point(self):
        assert outcome("a", "auc", [1.0, 1.0], [1.0, 1.0]).verdict == "no difference shown"
        assert outcome("a", "auc", [0.5, 0.75], [0.75, 1.0]).interval == (0.25, 0.25)

    def test_a_pair_by_hand(self):
        found = pair("a, b", [[0.5, -0.25, math.nan], [0.25, 0.5, -0.5]])
        assert (found.start, found.mean, found.lowest, found.negative) == (0.375, 0.1, -0.5, 0.4)
        assert math.isnan(pair("a, b", [[math.nan]]).mean)


def test_one_task_shares_with_nobody():
    line = rejection(problem, lambda inputs: {"a": inputs[:, 0]}, tasks=(task(name="a"),))
    assert line == "model.tasks: expected two tasks or more to share a trunk, got 1"


def test_a_tables_runs_start_from_given_embeddings(tmp_path):
    colour = CategoricalColumn(name="colour", dimension=2, embeddings="vectors.parquet", trainable=False)
    path = write_experiment(tmp_path, changed(EXPERIMENT, categorical=(colour,)))
    parquet.write_table(pa.table({"value": ["red"], "vector": [[1.0, 2.0]]}), tmp_path / "vectors.parquet")
    compared = from_file(path)
    for model in (compared.model, with_one_task(compared.model, compared.model.tasks[0])):
        start = compared.start(model, compared.train)
        assert start.keys() == parameter_shapes(model).keys()
        np.testing.assert_array_equal(start["embeddings.colour"], [[0, 0], [1, 2]])
