"""The bench as a command: what it measures and compares."""

import gc
import json
import tempfile

import pytest

from bench import cases, references, scale
from spec import to_toml
from tests.helpers.bench_command import QUICK, SMALL, in_this_process, measured, trained_by


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.toml"
    path.write_text(to_toml(SMALL))
    return path


@pytest.fixture
def bench(monkeypatch, capsys):
    return in_this_process(monkeypatch, capsys)


@pytest.fixture
def grown(monkeypatch):
    """Sizes that take seconds."""
    monkeypatch.setattr(scale, "VOCABULARIES", (1_000, 2_000, 3_000))
    monkeypatch.setattr(scale, "DENSE_UP_TO", 2_000)
    monkeypatch.setattr(scale, "DRAWN_STEPS", 16)
    monkeypatch.setattr(scale, "ROWS", (9_000, 12_000))
    monkeypatch.setattr(scale, "BLOCK", 5_000)


@pytest.mark.parametrize("case", ["tasks", "batch"])
def test_a_family(bench, tmp_path, monkeypatch, case):
    """Of each, the smallest and the largest."""
    monkeypatch.setattr(cases, "TASKS", cases.TASKS[:: len(cases.TASKS) - 1])
    monkeypatch.setattr(cases, "BATCHES", cases.BATCHES[:: len(cases.BATCHES) - 1])
    run, said = measured(bench, tmp_path, "--backend", "jax", "--execution", "epoch", "--case", case, "--steps", "8")
    variants = {"tasks": ["1 task", "64 tasks"], "batch": ["batch 8", "batch 8,192"]}[case]
    assert [row.variant for row in run.rows] == [variant for variant in variants for _ in range(2)]
    assert all(variant in said for variant in variants)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_dense_and_lazy_updates_of_growing_vocabularies(bench, grown, tmp_path, backend):
    execution = {"jax": "epoch", "torch": "eager"}[backend]
    options = ["--backend", backend, "--execution", execution, "--case", "vocabulary", "--steps", "8"]
    run, said = measured(bench, tmp_path, *options)
    assert [(row.execution, row.way, row.variant) for row in run.rows] == [
        (execution, "dense", "1,000 ids"),
        (execution, "lazy", "1,000 ids"),
        ("sparse loop", "lazy", "1,000 ids"),
        (execution, "dense", "2,000 ids"),
        (execution, "lazy", "2,000 ids"),
        ("sparse loop", "lazy", "2,000 ids"),
        (execution, "lazy", "3,000 ids"),
        ("sparse loop", "lazy", "3,000 ids"),
    ]
    assert "× dense" in said
    assert "Left out: dense updates of more than 2,000 ids" in said


def test_rows_in_memory_and_mapped(bench, grown, tmp_path, monkeypatch):
    options = ["--backend", "jax", "--case", "rows", "--steps", "8"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    run, said = measured(bench, tmp_path, *options)
    of_one_size = [("epoch", "memory"), ("sparse loop", "memory"), ("epoch", "mapped")]
    assert [(row.execution, row.way) for row in run.rows] == of_one_size * 2
    assert run.rows[0].loss == run.rows[2].loss
    assert "× memory" in said
    assert "Left out: jax eager, unless --execution asks for it.\nLeft out: jax step, unless" in said
    gc.collect()
    assert list(temporary.rglob("*.npy")) == []


def test_rows_that_cannot_be_written_are_one_line_and_exit_code_2(bench, grown, monkeypatch):
    monkeypatch.setattr(scale, "tempfile", type("Full", (), {"mkdtemp": lambda prefix: "/dev/null"}))
    done = bench("--backend", "torch", "--execution", "eager", "--case", "rows", *QUICK)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: /dev/null/numeric.npy: Not a directory")


def test_wide(bench, tmp_path):
    run, _ = measured(bench, tmp_path, "--backend", "torch", "--execution", "eager", "--case", "wide", "--steps", "1")
    assert trained_by(run) == [("torch", "torch", "eager"), ("torch", "torch", "plain loop")]


@pytest.fixture
def earlier(bench, tmp_path, small):
    """The JSON of a run of `small`."""
    path = tmp_path / "run.json"
    assert bench("--backend", "torch", "--execution", "eager", "--case", small, *QUICK, "--json", path).code == 0
    return path


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1e-3, 1)])
def test_a_run_is_compared_with_an_earlier_one(bench, tmp_path, small, earlier, factor, code):
    old = json.loads(earlier.read_text())
    for row in old["rows"]:
        row["step_microseconds"] = [value * factor for value in row["step_microseconds"]]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    arguments = ["--backend", "torch", "--execution", "eager", "--case", small, *QUICK]
    done = bench(*arguments, "--compare", path, "--tolerance", "20")
    assert done.code == code, done.out
    assert ("slower than allowed" in done.out) == (code == 1)


def test_a_run_of_another_case_is_not_compared(bench, small, earlier):
    done = bench("--case", "tasks", "--compare", earlier)
    assert done.code == 2
    expected = "error: --compare: expected a run of case tasks with threads 1, got one of"
    assert done.err == f"{expected} {small} with 1\n"


def test_rows_that_disagree_are_marked_and_the_exit_code_is_1(bench, small, monkeypatch):
    task_loss = references.task_loss
    monkeypatch.setattr(references, "task_loss", lambda *arguments: 2 * task_loss(*arguments))
    done = bench("--backend", "torch", "--execution", "eager", "--case", small, *QUICK)
    assert done.code == 1, done.err
    assert "≠" in done.out
