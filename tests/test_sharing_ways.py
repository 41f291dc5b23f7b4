"""Several ways of sharing with the same budget: what is compared with what, costs, gates, and what is rejected."""

from dataclasses import replace

import numpy as np
import pytest

from bench.sharing.plots import plot_sharing
from bench.sharing.report import decimals, gates_tables, print_sharing
from bench.sharing.runs import labels_of, with_one_task
from bench.sharing.summary import gates, outcome
from shared_bottom.reports.gates import LevelGates
from spec import PLE, GradNorm, MMoE, Separate, SharedBottom, TaskSpec, initial_params, load_backend, parameter_shapes
from spec.flops import step_flops
from tests.helpers.builders import rejection, task
from tests.helpers.sharing import PAIR, TRAIN, apart, problem, studied


@pytest.fixture(scope="module")
def run():
    made = problem(apart, train=replace(TRAIN, epochs=2, precision="float64"))
    made = replace(made, model=replace(made.model, sharing=MMoE(experts=3)))
    return studied(made, count=2, ways="mmoe,shared_bottom,separate,ple")


def test_the_files_way_keeps_its_options_and_others_have_their_defaults(run):
    models = {name: way.models[0] for name, way in run.ways.items()}
    assert {name: model.sharing for name, model in models.items()} == {
        "mmoe": MMoE(experts=3),
        "shared_bottom": SharedBottom(),
        "separate": Separate(),
        "ple": PLE(),
    }
    assert [model.sharing for model in run.alone.models] == [SharedBottom()] * 2
    assert run.ways["mmoe"].parameters == 3 * 3 + 2 * (2 * 3) + 2 * 2
    assert run.alone.parameters == 2 * (3 + 2)
    assert run.alone.flops == run.ways["separate"].flops == sum(step_flops(m, 20) for m in run.alone.models)


def test_each_way_is_compared_with_alone_and_with_shared_bottom(run):
    assert run.base == "shared_bottom"
    compared = [(found.against, found.task, found.way) for found in run.outcomes]
    others = ("mmoe", "separate", "ple")
    assert compared == [("alone", task, way) for task in "ab" for way in run.ways] + [
        ("shared_bottom", task, way) for task in "ab" for way in others
    ]
    for found in run.outcomes:
        value, base = ([metric(seed, way, found.task) for seed in run.seeds] for way in (found.way, found.against))
        expected = outcome(found.task, "rmse", base, value, way=found.way, against=found.against)
        assert found == expected


def metric(seed, way, task):
    return (seed.alone if way == "alone" else seed.ways[way].metrics)[task]["rmse"]


def test_the_first_way_is_the_base_without_shared_bottom():
    run = studied(problem(apart, train=replace(TRAIN, epochs=1)), count=1, ways="ple,separate")
    assert run.base == "ple"
    assert {(found.way, found.against) for found in run.outcomes} == {
        ("ple", "alone"),
        ("separate", "alone"),
        ("separate", "ple"),
    }


def test_separate_trunks_without_embeddings_are_each_task_alone():
    """The losses are added, so that no task's gradient reaches another's trunk."""
    made = problem(apart, train=replace(TRAIN, epochs=1, precision="float64"))
    (model,) = made.models(["separate"]).values()
    start = made.start(model, made.train)
    together = load_backend("jax").fit(model, made.train, made.data, params=start).params
    for of in model.tasks:
        single = with_one_task(model, of)
        names = {name: name.replace("trunk", f"tasks.{of.name}.trunk") for name in parameter_shapes(single)}
        begun = {name: start[of_all] for name, of_all in names.items()}
        params = load_backend("jax").fit(single, made.train, labels_of(made.data, single), params=begun).params
        for name, of_all in names.items():
            np.testing.assert_allclose(params[name], together[of_all], rtol=1e-9, atol=1e-12)


def test_only_what_is_shared_has_cosines(run):
    pairs = [(found.way, found.tasks) for found in run.pairs]
    assert pairs == [(way, "a, b") for way in ("mmoe", "shared_bottom", "ple")]
    assert all(seed.ways["separate"].cosine == {} for seed in run.seeds)


def test_the_gates_mean_weights_are_those_of_the_trained_network(run):
    backend, made = load_backend("jax"), problem(apart, train=replace(TRAIN, epochs=2, precision="float64"))
    model = run.ways["ple"].models[0]
    train = made.seeds(1)[0]
    params = backend.fit(model, train, made.data, params=initial_params(model, seed=0, precision="float64")).params
    weights = backend.gates(model, params, made.evaluated)
    for gate, mean in run.seeds[0].ways["ple"].gates.items():
        assert mean == pytest.approx(weights[gate].mean(axis=0), rel=1e-9)
        assert sum(mean) == pytest.approx(1.0)
    assert run.ways["ple"].gates["levels.0.gates.b"] == [
        "levels.0.b.0",
        "levels.0.b.1",
        "levels.0.shared.0",
        "levels.0.shared.1",
    ]
    assert run.seeds[0].ways["separate"].gates == {}


def test_torch_finds_the_same(run):
    pytest.importorskip("torch")
    made = problem(apart, train=replace(TRAIN, epochs=2, precision="float64", execution="eager"))
    (seed,) = studied(made, "torch", count=1, ways="ple").seeds
    found, expected = seed.ways["ple"], run.seeds[0].ways["ple"]
    assert found.cosine["a, b"] == pytest.approx(expected.cosine["a, b"], abs=1e-9)
    for gate, weights in expected.gates.items():
        assert found.gates[gate] == pytest.approx(weights, rel=1e-9)
    for name in "ab":
        assert found.metrics[name] == pytest.approx(expected.metrics[name], rel=1e-9)


def test_who_uses_which_expert(run):
    mmoe, ple = gates(run)
    assert (mmoe.title, mmoe.experts, mmoe.owners) == ("mmoe", ("0", "1", "2"), ("a", "b"))
    assert ple.experts == ("a.0", "a.1", "b.0", "b.1", "shared.0", "shared.1")
    assert np.isnan(ple.weights[0]).tolist() == [False, False, True, True, False, False]
    assert ple.weights[1, 2:].tolist() == run.seeds[0].ways["ple"].gates["levels.0.gates.b"]


def test_levels_and_the_gate_of_the_shared_experts():
    made = problem(apart, train=replace(TRAIN, epochs=1))
    made = replace(made, model=replace(made.model, sharing=PLE(levels=2, task_experts=1, shared_experts=1)))
    run = studied(made, count=1)
    first, second = gates(run)
    assert (first.title, second.title) == ("ple, level 0", "ple, level 1")
    assert first.owners == ("a", "b", "all tasks")
    assert first.weights[2].tolist() == run.seeds[0].ways["ple"].gates["levels.0.gates.shared"]
    assert second.owners == ("a", "b")


def test_what_is_printed_and_drawn(run, capsys):
    print_sharing(run)
    said = capsys.readouterr().out
    for found in run.outcomes:
        assert f"{found.difference:+.{decimals(found)}f}" in said
    for way in (run.alone, *run.ways.values()):
        assert f"{way.parameters:,}" in said
    for weight in run.seeds[0].ways["mmoe"].gates["gates.a"]:
        assert f"{weight:.3f}" in said
    assert "Alone: one trunk and the head of the task." in said
    assert plot_sharing(run, "png").startswith(b"\x89PNG")


def test_many_experts_take_several_tables(run, capsys):
    experts = tuple(str(i) for i in range(20))
    level = LevelGates(title="mmoe", experts=experts, owners=("a",), weights=np.full((1, 20), 0.05), finite=True)
    assert [len(table.columns) for table in gates_tables(level)] == [9, 9, 5]


def test_a_task_that_is_given_another_is_alone_without_it():
    tasks = (TaskSpec(name="click", kind="binary"), TaskSpec(name="buy", kind="binary", given="click"))

    def labels(inputs):
        click = (inputs[:, 0] > 0).astype(float)
        return {"click": click, "buy": click * (inputs[:, 1] > 0)}

    run = studied(problem(labels, tasks=tasks, train=replace(TRAIN, epochs=1)), count=1, ways="shared_bottom,mmoe")
    assert run.alone.models[1].tasks == (TaskSpec(name="buy", kind="binary"),)
    assert {found.task for found in run.outcomes} == {"click", "buy"}


def test_a_task_whose_name_a_way_needs_is_rejected_before_training():
    made = problem(lambda inputs: {"shared": inputs[:, 0], "b": inputs[:, 1]}, tasks=(task(name="shared"), PAIR[1]))
    line = rejection(made.models, ["shared_bottom", "ple"])
    assert line.endswith("tasks: expected a task to be called otherwise with sharing ple, got 'shared'")


def test_gradnorm_with_nothing_shared_is_rejected_before_training():
    made = problem(apart, train=replace(TRAIN, balancing=GradNorm()))
    line = rejection(studied, made, ways="shared_bottom,separate")
    assert line.startswith("balancing: expected another than gradnorm with sharing separate")


def test_without_ways_the_models_own_is_compared_with_alone(capsys):
    made = problem(apart, train=replace(TRAIN, epochs=1))
    run = studied(replace(made, model=replace(made.model, sharing=MMoE(experts=2))), count=1)
    assert (list(run.ways), run.base) == (["mmoe"], "mmoe")
    assert {(found.way, found.against) for found in run.outcomes} == {("mmoe", "alone")}
    print_sharing(run)
    said = capsys.readouterr().out
    assert "mmoe: the gates' mean weight" in said
    assert "from the same trunk" not in said


def test_any_loss_and_metric_can_be_compared():
    tasks = (
        task(name="range", loss="quantile"),
        task(name="spend", loss="zero_inflated_lognormal"),
        TaskSpec(name="click", kind="binary", more_metrics=("group_auc",)),
    )

    def labels(inputs):
        click = inputs[:, 0] > 0
        return {"range": inputs[:, 1], "spend": click * np.exp(inputs[:, 1]), "click": click.astype(float)}

    made = problem(labels, tasks=tasks, train=replace(TRAIN, epochs=1))
    data, evaluated = (replace(rows, group=np.arange(rows.rows) % 5) for rows in (made.data, made.evaluated))
    run = studied(replace(made, data=data, evaluated=evaluated), count=1, ways="ple,mmoe")
    metrics = {found.task: found.metric for found in run.outcomes}
    assert metrics == {"range": "pinball", "spend": "rmse", "click": "auc"}
    assert all(np.isfinite(found.difference) for found in run.outcomes)
    assert np.isfinite(run.seeds[0].ways["mmoe"].metrics["click"]["group_auc"])
    assert all(np.isfinite(pair.mean) for pair in run.pairs)
