"""What the bench makes of a run: pictures, comparisons, tables, sentences."""

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from bench import plots
from bench.report import compare, conclusions, print_run
from tests.helpers.bench_runs import EAGER, LOOP, row, run


class TestPlots:
    def axes(self, draw, rows):
        axes = Figure().subplots()
        draw(axes, rows)
        return axes

    def test_a_bar_for_each_row(self):
        axes = self.axes(plots.bars, [LOOP, EAGER, row()])
        assert [bar.get_width() for bar in axes.patches] == [1000.0, 1040.0, 40.0]
        assert [label.get_text() for label in axes.get_yticklabels()] == [
            "jax: torch tutorial's loop",
            "jax: eager",
            "jax: epoch",
        ]

    @pytest.mark.parametrize(
        ("draw", "variants", "sizes", "values"),
        [
            (plots.tasks, ["1 task", "8 tasks"], [1, 8], [40.0, 40.0]),
            (plots.batches, ["batch 8", "batch 1,024"], [8, 1024], [8 / 40e-6, 1024 / 40e-6]),
        ],
    )
    def test_a_line_for_each_way_to_train(self, draw, variants, sizes, values):
        rows = [
            row(execution, variant=variant, batch_size=size)
            for variant, size in zip(variants, sizes, strict=True)
            for execution in ("step", "epoch")
        ]
        lines = self.axes(draw, rows).get_lines()
        assert [line.get_label() for line in lines] == ["jax: step", "jax: epoch"]
        for line in lines:
            assert line.get_xdata().tolist() == sizes
            assert line.get_ydata().tolist() == pytest.approx(values)

    @pytest.mark.parametrize(
        ("draw", "solid", "broken", "values"),
        [
            (plots.vocabularies, "lazy", "dense", [40.0, 40.0]),
            (plots.places, "memory", "mapped", [32 / 40e-6, 32 / 40e-6]),
        ],
    )
    def test_two_ways_of_an_execution_are_a_solid_and_a_dashed_line_of_one_colour(self, draw, solid, broken, values):
        rows = [row(way=way, variant=f"{size:,} ids") for size in (1_000, 10_000) for way in (broken, solid)]
        dashed, line = self.axes(draw, [*rows, replace(LOOP, way=solid, variant="1,000 ids")]).get_lines()[:2]
        assert [dashed.get_label(), line.get_label()] == [f"jax: epoch {broken}", f"jax: epoch {solid}"]
        assert [dashed.get_linestyle(), line.get_linestyle()] == ["--", "-"]
        assert dashed.get_color() == line.get_color()
        assert line.get_xdata().tolist() == [1_000, 10_000]
        assert line.get_ydata().tolist() == pytest.approx(values)

    @pytest.mark.parametrize("case", ["tutorial", "tasks", "vocabulary", "rows"])
    def test_a_run_is_a_png(self, case):
        assert plots.plot_run(run(row(variant="1 task"), case=case)).startswith(b"\x89PNG")


class TestCompare:
    @pytest.mark.parametrize(("now", "slower"), [(40.0, False), (51.0, False), (53.0, True), (10.0, False)])
    def test_a_row_may_be_slower_by_the_tolerance(self, capsys, now, slower):
        before, after = run(EAGER, row()), run(row(microseconds=[now]), row("step"))
        assert compare(after, before, 0.3) is slower
        said = capsys.readouterr().out
        assert "1 rows in both, 1 only here, 1 only there" in said
        assert f"40 → {now:.0f} µs/step, × {now / 40:.2f}" in said
        assert ("slower than allowed" in said) is slower
        assert f"{int(slower)} of 1 are slower than × 1.3." in said

    def test_with_nothing_in_both_nothing_is_said_to_be_well(self):
        assert compare(run(row("step")), run(row()), 0.3) is True


def test_the_tables_fit_100_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    rows = [replace(LOOP, process=process) for process in ("jax", "torch")]
    rows += [row(execution, [123456.0, 234567.0], variant="batch 8,192") for execution in ("eager", "step", "epoch")]
    print_run(run(*rows, matmul_gflops={"jax": [90.0]}, interrupted=True))
    said = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 100
    assert "…" not in said
    assert "Interrupted" in said


@pytest.mark.parametrize(
    ("case", "ways", "variant", "headed"),
    [
        ("vocabulary", ("dense", "lazy"), "10,000,000 ids", ("over", "× dense", "adds")),
        ("rows", ("memory", "mapped"), "10,000,000 rows", ("rows/s", "× memory", "adds")),
    ],
)
def test_the_tables_of_several_ways_fit_100_columns(capsys, case, ways, variant, headed):
    loop = replace(LOOP, execution="sparse loop", loss=3.0)
    rows = [
        replace(each, way=way, variant=variant, held_bytes=1, host_bytes=12_345_000_001, step_microseconds=[1e5, 2e5])
        for way in ways
        for each in (loop, row("step"), row("epoch"))
    ]
    first = [replace(each, variant="10,000 ids", step_microseconds=[666.0]) for each in rows]
    print_run(run(*first, *rows, case=case, left_out=["what is too large"]))
    said = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 100
    assert "…" not in said
    assert all(name in said for name in headed)
    assert "12,345" in said
    assert ("  225  " in said) == (case == "vocabulary")  # 150,000 / 666
    assert "Left out: what is too large." in said


def test_the_table_of_processes_says_what_each_number_of_them_buys(capsys):
    steps = {1: [40_000.0, 40_000.0, 50_000.0], 2: [25_000.0, 25_000.0, 35_000.0]}
    sums = {1: [], 2: [5_000.0]}
    rows = [
        row(name, us, processes=n, sum_microseconds=sums[n], variant="batch 8,192", host_bytes=10**9, batch_size=8192)
        for n, us in steps.items()
        for name in ("step", "epoch")
    ]
    print_run(run(*rows, case="batch"))
    said = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 100
    assert "…" not in said
    assert "threads of each of the n processes: 1" in said
    (two,) = [line.split() for line in said.splitlines() if "epoch" in line and "327,680" in line]
    assert two[-5:] == ["327,680", "1.60", "80%", "5,000", "20%"]


class TestConclusions:
    def test_one_row_agrees_with_nothing(self):
        assert not any("Losses differ" in line for line in conclusions(run(row())))
        assert any("Losses differ" in line for line in conclusions(run(row(), LOOP)))

    def test_a_missing_loop_has_its_reason(self):
        assert any("no dropout" in line for line in conclusions(run(row())))
        assert not any("no dropout" in line for line in conclusions(run(row(), LOOP)))
