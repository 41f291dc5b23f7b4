"""The arithmetic of the bench, on figures made by hand."""

import json
import math
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from bench.report import conclusions
from bench.results import Row, Run, merge, read_run, to_json
from shared_bottom.disk import write_whole
from spec import CategoricalFeature, ModelSpec, TaskSpec, json_schema, presets
from spec.flops import step_flops
from tests.helpers.bench_runs import EAGER, LOOP, row, run
from tests.helpers.builders import rejection


class TestFlops:
    def test_the_tutorial_by_hand(self):
        layers = [10 * 64, 64 * 32, 32 * 16, 16 * 32, 32 * 3, 16 * 32, 32 * 2]
        # Outputs, gradient of the kernel, gradient of the inputs; of the first layer's inputs, which are data, none.
        assert step_flops(presets.tutorial_model(), 32) == 2 * 32 * (3 * sum(layers) - layers[0])

    def test_of_a_first_layer_only_the_embeddings_have_a_gradient(self):
        model = ModelSpec(
            numeric=3,
            categorical=(CategoricalFeature(name="a", vocabulary=9, dimension=2),),
            trunk=(7,),
            tasks=(TaskSpec(name="t", kind="binary"),),
        )
        assert step_flops(model, 10) == 2 * 10 * (2 * 5 * 7 + 2 * 7 + 3 * 7 * 1)

    def test_it_grows_with_the_rows(self):
        assert step_flops(presets.wide_model(), 300) == 3 * step_flops(presets.wide_model(), 100)


class TestRow:
    def test_percentiles_and_rates(self):
        measured = row(microseconds=[float(value) for value in range(100, 201, 10)])
        assert (measured.percentile(10), measured.median, measured.percentile(90)) == (110.0, 150.0, 190.0)
        assert measured.rows_per_second == pytest.approx(32 / 150e-6)
        assert measured.gflops == pytest.approx(800_000 / 150e-6 / 1e9)

    def test_nothing_measured_is_nan(self):
        assert math.isnan(row(microseconds=[]).median)


class TestRun:
    def test_the_speed_up_is_over_the_loop_of_the_same_process(self):
        other = replace(LOOP, process="torch", step_microseconds=[4000.0])
        measured_run = run(other, LOOP, row())
        assert measured_run.speed_up(row()) == pytest.approx(1000 / 40)
        assert run(other, row()).speed_up(row()) is None

    def test_compiling_pays_after_its_seconds_over_what_a_step_saves(self):
        # 2 s less the 32 steps themselves, at 1,000 µs saved a step.
        assert run(EAGER, row()).pays_after(row()) == pytest.approx((2.0 - 32 * 40e-6) / 1000e-6)

    def test_what_was_not_measured_says_nothing(self):
        none = row(microseconds=[])
        assert run(EAGER, none).pays_after(none) is None

    def test_what_is_slower_never_pays(self):
        slow = row(microseconds=[2000.0])
        assert run(EAGER, slow).pays_after(slow) == math.inf

    def test_what_starts_sooner_pays_at_once(self):
        quick = row(build_seconds=0.0, first_call_seconds=0.0)
        assert run(EAGER, quick).pays_after(quick) == 0.0

    @pytest.mark.parametrize("of", [EAGER, LOOP])
    def test_what_does_not_compile_has_nothing_to_pay(self, of):
        assert run(EAGER, LOOP, row()).pays_after(of) is None

    def test_without_an_eager_row_nobody_knows_when_it_pays(self):
        assert run(row()).pays_after(row()) is None

    def test_processes_are_compared_with_the_fewest_of_the_same_execution(self):
        one, two, four = (row(microseconds=[us], processes=n) for n, us in ((1, 8000.0), (2, 5000.0), (4, 4000.0)))
        two.sum_microseconds = [900.0, 1000.0, 5000.0]
        measured_run = run(two, row("step", [1.0], processes=1), one, four)
        assert [measured_run.over_fewest(each) for each in (one, two, four)] == [1.0, 1.6, 2.0]
        assert [measured_run.efficiency(each) for each in (one, two, four)] == [1.0, 0.8, 0.5]
        assert (one.sum_share, two.sum_share) == (None, 0.2)
        assert run(two, four).efficiency(four) == 5000 / 4000 / 2

    def test_compiling_pays_by_the_eager_row_of_as_many_processes(self):
        eager, step = replace(EAGER, processes=2), row("step", processes=2)
        quick = replace(EAGER, processes=1, step_microseconds=[20.0])
        assert run(quick, eager, step).pays_after(step) == run(EAGER, row("step")).pays_after(row("step"))

    def test_the_share_of_the_peak_is_that_of_the_same_library(self):
        measured_run = run(row(), LOOP, matmul_gflops={"jax": [70.0, 90.0, 80.0]})
        assert measured_run.share_of_peak(row()) == pytest.approx(800_000 / 40e-6 / 1e9 / 80.0)
        assert measured_run.share_of_peak(LOOP) is None

    def test_the_fastest_depends_on_the_length_of_the_run(self):
        assert run(EAGER).fastest("jax", 100_000) == "eager"  # a backend may have no other
        measured_run = run(LOOP, EAGER, row("step", [500.0]), row())
        assert [measured_run.fastest("jax", steps) for steps in (100, 100_000)] == ["eager", "epoch"]
        assert measured_run.fastest("torch", 100) is None

    def test_of_two_losses_one_is_wrong_and_zeros_agree(self):
        assert len(run(row(), row("step", loss=2.0003)).disagreeing()) == 1
        assert run(row(loss=0.0), row("step", loss=0.0)).disagreeing() == []

    def test_the_backends_own_losses_are_compared_apart(self):
        other = row("eager", process="torch", backend="torch", loss=2.0002)
        assert run(LOOP, row()).backend_difference() is None
        assert run(replace(LOOP, loss=3.0), row(), other).backend_difference() == pytest.approx(1e-4, rel=1e-3)

    @pytest.mark.parametrize(("loss", "wrong"), [(2.0001, 0), (2.02, 1), (math.nan, 1)])
    def test_a_loss_apart_from_the_others_is_no_result(self, loss, wrong):
        rows = [row(), row("step"), row("eager", loss=loss)]
        measured_run = run(*rows)
        assert measured_run.disagreeing() == rows[3 - wrong :]
        assert sum("≠" in line for line in conclusions(measured_run)) == wrong

    def test_losses_are_compared_within_a_variant(self):
        one, other = row(variant="1 task", loss=1.0), row(variant="2 tasks", loss=9.0)
        assert run(one, other).disagreeing() == []

    def test_losses_are_compared_within_a_curve_and_across_ways(self):
        dense, lazy = row(way="dense", curve="dense", loss=1.0), row(way="lazy", curve="lazy", loss=9.0)
        assert run(dense, lazy).disagreeing() == []
        other = replace(dense, process="torch", backend="torch", loss=1.01)
        assert run(dense, other, lazy).backend_difference() == pytest.approx(0.01, rel=0.1)
        assert len(run(row(way="memory"), row(way="mapped", loss=2.1)).disagreeing()) == 1

    def test_a_way_is_compared_with_the_first_way_of_the_same_execution(self):
        dense, lazy = row(way="dense", microseconds=[80.0]), row(way="lazy", microseconds=[20.0])
        measured_run = run(dense, row("step", [10.0], way="dense"), lazy, row("step", [10.0], way="lazy"))
        assert measured_run.ways == ["dense", "lazy"]
        assert [measured_run.over_first_way(row) for row in measured_run.rows] == [1.0, 1.0, 4.0, 1.0]
        alone = replace(lazy, variant="large")
        assert run(dense, lazy, alone).over_first_way(alone) is None
        assert run(EAGER, row()).over_first_way(EAGER) is None

    def test_growth_is_over_the_first_variant_of_the_same_way_and_execution(self):
        def series(way, *times):
            return [row(way=way, variant=f"{i} ids", microseconds=[time]) for i, time in enumerate(times)]

        measured_run = run(*series("dense", 10.0, 100.0), *series("lazy", 20.0, 22.0, 30.0))
        assert [measured_run.growth(row) for row in measured_run.rows] == pytest.approx([1.0, 10.0, 1.0, 1.1, 1.5])

    def test_compiling_is_compared_with_the_eager_row_of_the_same_way(self):
        lazy = row(way="lazy")
        assert run(EAGER, lazy).pays_after(lazy) is None
        assert run(replace(EAGER, way="lazy"), lazy).pays_after(lazy) == run(EAGER, row()).pays_after(row())

    def test_the_loop_of_one_way_is_that_of_the_variant(self):
        assert run(row(way="mapped"), replace(LOOP, way="memory")).speed_up(row(way="mapped")) == 25.0

    def test_memory_is_what_a_row_adds(self):
        assert row(host_bytes=900, held_bytes=700).added_bytes == 200
        assert row().added_bytes is None

    def test_processes_merge_into_one_run(self):
        one, other = (
            run(row(), matmul_gflops={"jax": [1.0]}, left_out=["dense"]),
            run(LOOP, matmul_gflops={"torch": [2.0]}, left_out=["dense", "eager"], interrupted=True),
        )
        merged = merge([one, other])
        assert merged.rows == [row(), LOOP]
        assert merged.matmul_gflops == {"jax": [1.0], "torch": [2.0]}
        assert merged.left_out == ["dense", "eager"]
        assert merged.interrupted


class TestFiles:
    def test_a_run_survives_its_json(self, tmp_path):
        written = run(EAGER, row(loss=math.inf), auto={"jax": {100: "epoch"}}, metrics={"jax": {"a": {"auc": 0.5}}})
        write_whole(tmp_path / "run.json", to_json(written))
        assert read_run("--compare", tmp_path / "run.json") == written
        assert [path.name for path in tmp_path.iterdir()] == ["run.json"]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"schema_version": 2}, "schema_version: expected 1, got 2"),
            ({"rows": 3}, "rows: expected a list"),
            ({"speed": 3}, "speed: unexpected field"),
        ],
    )
    def test_another_schema_is_refused(self, tmp_path, change, said):
        path = tmp_path / "run.json"
        path.write_text(json.dumps(json.loads(to_json(run(row()))) | change))
        assert said in rejection(read_run, "--compare", path)

    @pytest.mark.parametrize("content", [None, "", "[1, 2"])
    def test_what_is_no_run_is_refused(self, tmp_path, content):
        path = tmp_path / "run.json"
        if content is not None:
            path.write_text(content)
        assert rejection(read_run, "--compare", path).startswith("--compare: expected the JSON of a run, got")

    def test_the_schema_describes_every_field(self):
        schema = json_schema(Run)
        assert schema["properties"]["schema_version"]["const"] == 1
        described = schema["$defs"]["Row"]["properties"]
        assert set(described) == set(Row.__dataclass_fields__)
        assert TypeAdapter(Run).validate_json(to_json(run(row()))) == run(row())
