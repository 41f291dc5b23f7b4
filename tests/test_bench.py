import json
import os
import subprocess
import sys

import pytest

from bench.report import read_rows, write_json
from bench.timing import Row

ROW = Row(
    backend="jax",
    execution="epoch",
    device="cpu",
    threads=1,
    steps=320,
    first_call_seconds=0.5,
    step_microseconds=[30.0, 50.0, 40.0],
    batch_size=32,
    first_loss=2.0,
    last_loss=1.0,
)


def bench(*arguments, **variables):
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "100"} | variables
    )


def test_the_median_and_the_throughput_are_those_of_the_warm_calls():
    assert ROW.median == 40.0
    assert ROW.rows_per_second == pytest.approx(32 / 40e-6)


def test_rows_survive_their_json(tmp_path):
    write_json(tmp_path / "run.json", {"rows": [ROW.as_json()]})
    assert read_rows(tmp_path / "run.json") == [ROW]
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(("backend", "execution"), [("jax", "epoch"), ("torch", "eager"), ("all", "eager")])
def test_a_run_prints_and_writes_what_it_measured(tmp_path, backend, execution):
    done = bench("--backend", backend, "--execution", execution, "--json", str(tmp_path / "run.json"))
    assert done.returncode == 0, done.stderr
    assert all(len(line.rstrip()) <= 100 for line in done.stdout.splitlines())
    rows = json.loads((tmp_path / "run.json").read_text())["rows"]
    found = [(row["backend"], row["execution"]) for row in rows]
    backends = ["jax", "torch"] if backend == "all" else [backend]
    assert found == [("torch", "tutorial's loop"), *((name, execution) for name in backends)]
    for row in rows:
        assert row["first_call_seconds"] > 0
        assert min(row["step_microseconds"]) > 0
        assert row["device"] == "cpu"
        assert row["execution"] in done.stdout
    first_losses = [row["first_loss"] for row in rows[1:]]
    assert first_losses == pytest.approx([2.1637265] * len(first_losses), rel=1e-5)


def test_census_without_files_says_that_its_rows_are_synthetic(tmp_path):
    done = bench("--backend", "jax", "--execution", "eager", "--case", "census", SHARED_BOTTOM_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "synthetic rows" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backend", "numpy"], "--backend: expected one of jax, torch, all, got 'numpy'"),
        (["--threads", "0"], "--threads: expected 1 to"),
        (["--case", "census", "--data-dir", "nowhere"], "--data-dir: expected a folder, got 'nowhere'"),
        (["--data-dir", "."], "--data-dir: expected none with --case tutorial"),
        (["--case", "narrow"], "--case: expected one of tutorial, wide, census or a FILE.toml, got 'narrow'"),
        (["--json", "."], "--json: expected a file in a folder that can be written"),
        (["--json", "nowhere/run.json"], "--json: expected a file in a folder that can be written"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(arguments, said):
    done = bench(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["--execution", "fast"], ["--device", "tpu"], ["--threads", "one"], ["--epochs"]]
)
def test_an_option_that_does_not_parse_is_exit_code_2(arguments):
    done = bench(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr + done.stdout


def test_help_explains_every_option():
    done = bench("--help")
    assert done.returncode == 0
    for option in ("--backend", "--case", "--execution", "--device", "--threads", "--data-dir", "--json"):
        assert option in done.stdout
