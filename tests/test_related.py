"""Related tasks: rows as the paper makes them, networks of one size, and the experiment as a command and an example."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from bench.related import __main__ as related
from bench.related.report import plot_related, print_related
from bench.related.runs import Curve, Related, add, study, to_json
from spec import load_backend, presets
from spec.params import parameter_count
from tests.helpers.backends import each_backend
from tests.helpers.builders import rejection

ROOT = Path(__file__).parents[1]


class TestData:
    @pytest.mark.parametrize("correlation", [-1, 0, 0.5, 0.9, 1])
    def test_the_weights_have_the_correlation(self, correlation):
        """Without sines, least squares give the weights but for the noise."""
        data = presets.related_tasks_data(correlation, 20_000, seed=3)
        labels = np.hstack([data.labels["one"], data.labels["two"]])
        weights, *_ = np.linalg.lstsq(data.numeric.astype(float), labels, rcond=None)
        one, two = (weights / np.linalg.norm(weights, axis=0)).T
        assert one @ two == pytest.approx(correlation, abs=0.03)

    def test_labels_by_hand(self):
        """With correlation 1 both tasks have one weight vector, so that their labels differ by noise of 0.1 alone."""
        data = presets.related_tasks_data(1.0, 50_000, seed=1)
        noise = (data.labels["one"] - data.labels["two"]) / np.sqrt(2.0)
        assert noise.std() == pytest.approx(0.1, rel=0.02)
        # w·x is N(0, 1) for a unit vector; the mean of sin(2z + 1/2) over it is sin(1/2)·e^-2, that of z and sin z is 0
        assert data.labels["one"].mean() == pytest.approx(np.sin(0.5) * np.exp(-2.0), abs=0.03)

    def test_a_seed_gives_the_same_rows_again_and_another_seed_others(self):
        one, again, other = (presets.related_tasks_data(0.5, 10, seed=seed) for seed in (7, 7, 8))
        np.testing.assert_array_equal(one.labels["two"], again.labels["two"])
        assert not np.array_equal(one.numeric, other.numeric)

    @pytest.mark.parametrize("correlation", [1.01, -2, float("nan")])
    def test_no_cosine_is_rejected(self, correlation):
        line = rejection(presets.related_tasks_data, correlation, 10)
        assert line == f"correlation: expected a number from -1 to 1, got {correlation}"


def test_both_networks_have_as_many_parameters():
    shared_bottom, mmoe = map(parameter_count, presets.related_tasks_models().values())
    assert (shared_bottom, mmoe) == (14_776, 14_818)
    assert presets.related_tasks_models().keys() == {"shared_bottom", "mmoe"}


def test_the_preset_suits_both_backends():
    model, data = presets.related_tasks_models()["mmoe"], presets.related_tasks_data(0.5, 10)
    data.check(model, precision=presets.related_tasks_training().precision)


def test_a_curve_by_hand():
    curve = Curve(correlation=0.5, way="mmoe", parameters=1)
    add(curve, np.arange(120.0))
    assert curve.steps[:2] == [1.5, 3.5]  # steps are counted from 1
    assert curve.losses[0][:2] == [0.5, 2.5]
    assert curve.final == [113.5]  # of 108 to 119


@pytest.fixture(scope="module")
def small():
    return study(load_backend("jax"), [0.0, 1.0], seeds=2, steps=40, learning_rate=0.01)


def test_both_networks_learn_the_same_rows_of_each_correlation(small):
    assert [(curve.correlation, curve.way) for curve in small.curves] == [
        (correlation, way) for correlation in (0.0, 1.0) for way in ("shared_bottom", "mmoe")
    ]
    for curve in small.curves:
        assert [len(losses) for losses in curve.losses] == [40, 40]
        assert all(losses[-1] < 0.8 * losses[0] for losses in curve.losses)
    data = presets.related_tasks_data(1.0, 64, seed=1)  # the first step's rows
    first = np.mean([np.mean(label**2) for label in data.labels.values()]) * 2
    for curve in small.curves[2:]:
        assert curve.losses[1][0] == pytest.approx(first, rel=0.2)  # of a network that says about 0


def test_mmoe_ends_below_shared_bottom_where_tasks_are_half_related():
    """The paper's finding. In docs/results.md it is that of twenty seeds, with three correlations."""
    shared_bottom, mmoe = study(load_backend("jax"), [0.5], seeds=3, steps=8000, learning_rate=1e-3).curves
    assert np.mean(mmoe.final) < 0.95 * np.mean(shared_bottom.final)


def test_what_is_printed_and_drawn(small, capsys):
    print_related(small)
    said = capsys.readouterr().out
    mmoe = small.curves[1]
    gain = np.mean(np.subtract(small.curves[0].final, mmoe.final))
    assert f"{np.mean(mmoe.final):.4f} ± {np.std(mmoe.final, ddof=1):.4f}" in said
    assert f"{gain:+.4f} ±" in said
    assert plot_related(small, "png").startswith(b"\x89PNG")
    assert TypeAdapter(Related).validate_json(to_json(small)) == small


@each_backend
def test_the_example_prints_losses_that_fall_and_gates(name):
    pytest.importorskip(name)
    example = ROOT / "examples" / "related_tasks.py"
    command = [sys.executable, str(example), "--backend", name, "--steps", "80"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    for way in ("shared_bottom", "mmoe"):
        (quarters,) = re.findall(rf"^{way}: mean loss of each quarter of the steps (.*)$", done.stdout, re.MULTILINE)
        losses = [float(loss) for loss in quarters.split()]
        assert losses == sorted(losses, reverse=True)
    gates = re.findall(r"^mmoe: gates\.(one|two) gives .* \[(.*)\]$", done.stdout, re.MULTILINE)
    assert [(task, len(weights.split())) for task, weights in gates] == [("one", 8), ("two", 8)]


def test_the_example_refuses_what_is_no_cosine_in_one_line():
    command = [sys.executable, str(ROOT / "examples" / "related_tasks.py"), "--backend", "jax", "--correlation", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: correlation: expected a number from -1 to 1, got 2.0\n"


@pytest.fixture
def command(monkeypatch):
    """Runs it and gives its exit code, 0 if it just ends; cores stay as they are."""
    monkeypatch.setattr(related, "limit_threads", lambda threads: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["related", *map(str, arguments)])
        try:
            related.main()
        except SystemExit as stop:
            return stop.code
        return 0

    return run


def test_the_command_writes_and_draws(tmp_path, command, capsys):
    json, plot = tmp_path / "related.json", tmp_path / "related.svg"
    assert command("--correlations", "0.5", "--seeds", 1, "--steps", 20, "--json", json, "--plot", plot) == 0
    assert "seed 0 (0 of 1 seeds done)" in capsys.readouterr().err
    run = TypeAdapter(Related).validate_json(json.read_bytes())
    assert (run.backend, run.steps, [curve.correlation for curve in run.curves]) == ("jax", 20, [0.5, 0.5])
    assert plot.read_text().startswith("<?xml")


def test_a_run_that_diverges_is_one_line_and_exit_code_2(command, capsys):
    assert command("--correlations", "0", "--seeds", 1, "--steps", 50, "--learning-rate", 1e30) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: loss: expected finite values")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backend", "numpy"], "--backend: expected one of jax, torch, got 'numpy'"),
        (["--correlations", "0,2"], "--correlations: expected different numbers from -1 to 1, separated by commas"),
        (["--correlations", "0,0.0"], "--correlations: expected different numbers"),
        (["--correlations", "0,,1"], "--correlations: expected different numbers"),
        (["--correlations", "nan"], "--correlations: expected different numbers"),
        (["--seeds", "0"], "--seeds: expected 1 or more, got 0"),
        (["--steps", "0"], "--steps: expected 1 or more, got 0"),
        (["--learning-rate", "0"], "--learning-rate: expected a finite number above 0, got 0.0"),
        (["--learning-rate", "nan"], "--learning-rate: expected a finite number above 0, got nan"),
        (["--threads", "0"], "--threads: expected 1 to"),
        (["--json", "."], "--json: expected a file in a folder that can be written"),
        (["--plot", "related.pdf"], "--plot: expected a .png or .svg, got 'related.pdf'"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(command, capsys, arguments, said):
    assert command(*arguments) == 2
    found = capsys.readouterr()
    assert found.err.startswith(f"error: {said}")
    assert (len(found.err.splitlines()), found.out) == (1, "")
