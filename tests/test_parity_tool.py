import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from bench.cases import load_cases
from bench.parity.__main__ import choose
from bench.parity.compare import compare_backends
from spec import Experiment, GradNorm, TrainSpec, UncertaintyWeighting, load_backend, presets, to_toml
from tests.helpers.backends import BACKENDS
from tests.helpers.parity import LISTS, example_model


def parity(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench.parity", *arguments], capture_output=True, text=True, check=False
    )


def test_within_tolerance_it_reports_every_quantity_and_exits_0(tmp_path):
    files = [tmp_path / "report.json", tmp_path / "curves.png"]
    done = parity("--steps", "40", "--json", str(files[0]), "--plot", str(files[1]))
    assert done.returncode == 0, done.stderr
    report = json.loads(files[0].read_text())
    assert list(report["largest"]) == ["loss total", "loss task_a", "loss task_b", "gradient", "parameter"]
    assert all(0 <= quantity["difference"] < 1e-9 for quantity in report["largest"].values())
    assert len(report["losses"]) == 40
    assert report["beyond"] == {}
    assert "beyond 1e-09: nothing" in done.stdout
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_beyond_tolerance_it_names_the_first_step_and_both_values_and_exits_1():
    done = parity("--steps", "40", "--precision", "float32", "--tolerance", "1e-12")
    assert done.returncode == 1, done.stderr
    found = [line for line in done.stdout.splitlines() if line.startswith("beyond 1e-12: ")]
    for line, quantity in zip(found, ("loss", "gradient trunk", "parameter trunk"), strict=True):
        assert re.match(rf"beyond 1e-12: step \d+, {quantity}.*: [\d.e-]+ \(jax\) and [\d.e-]+ \(torch\)$", line)


def test_it_takes_a_file_and_compares_what_balancing_learns(tmp_path):
    file, report = tmp_path / "mine.toml", tmp_path / "report.json"
    train = replace(presets.tutorial_training(), balancing=UncertaintyWeighting())
    file.write_text(to_toml(Experiment(model=presets.tutorial_model(), train=train)))
    done = parity("--case", str(file), "--steps", "5", "--json", str(report))
    assert done.returncode == 0, done.stderr
    assert "mine, 5 steps" in done.stdout
    found = json.loads(report.read_text())
    assert 0 < found["largest"]["balance"]["difference"] < 1e-9
    assert {len(losses) for step in found["losses"] for losses in step} == {3}  # the total, and two tasks'


def test_it_takes_a_file_with_a_table(file):
    done = parity("--case", str(file), "--steps", "5")
    assert done.returncode == 0, done.stderr
    assert f"{file.stem}, 5 steps" in done.stdout
    assert "beyond 1e-09: nothing" in done.stdout


def test_it_compares_lazy_embedding_updates(tmp_path):
    file, report = tmp_path / "lazy.toml", tmp_path / "report.json"
    model = example_model("tied", categorical=LISTS)
    train = TrainSpec(embedding_updates="lazy", batch_size=2)
    file.write_text(to_toml(Experiment(model=model, train=train)))
    done = parity("--case", str(file), "--steps", "10", "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "beyond 1e-09: nothing" in done.stdout
    found = json.loads(report.read_text())["largest"]
    assert all(found[quantity]["difference"] < 1e-9 for quantity in ("loss total", "gradient", "parameter"))


def test_a_balance_beyond_tolerance_is_named(monkeypatch):
    """One side's GradNorm lets no factor fall, which shows in no loss or parameter of the first step."""
    case = load_cases("tutorial", None)[0]
    case = replace(case, train=replace(case.train, balancing=GradNorm(), precision="float64"))
    backends = [load_backend(name) for name in ("jax", "torch")]
    assert compare_backends(case, backends, 1, 1e-9).beyond == {}
    monkeypatch.setattr("backends.torch.balancing.GRADNORM_FLOOR", 1.0)
    beyond = compare_backends(case, backends, 1, 1e-9).beyond
    assert list(beyond) == ["balance"]
    assert beyond["balance"].startswith("step 0, balance factor[")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--case", "tasks"], "--case: expected one network, got tasks, a family of 7"),
        (
            ["--case", "narrow"],
            "--case: expected one of tutorial, census, wide, tasks, batch, vocabulary, rows or a FILE.toml, got",
        ),
        (["--case", "nowhere.toml"], "--case: expected a file that can be read, got 'nowhere.toml'"),
        (["--tolerance", "nan"], "--tolerance: expected a finite number above 0, got nan"),
        (["--plot", "."], "--plot: expected a file in a folder that can be written"),
        (["--backend", "numpy"], f"--backend: expected one of {', '.join(BACKENDS)}, got 'numpy'"),
        (["--against", "numpy"], f"--against: expected one of {', '.join(BACKENDS)}, got 'numpy'"),
        (["--backend", "jax", "--against", "jax"], "--against: expected another backend than --backend, got 'jax'"),
        (["--steps", "0"], "--steps: expected 1 or more, got 0"),
        (["--json", "nowhere/report.json"], "--json: expected a file in a folder that can be written"),
        (["--plot", "nowhere/curves.png"], "--plot: expected a file in a folder that can be written"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, said):
    done = parity(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("backend", "against", "chosen"),
    [
        (None, None, ("a", "b")),
        ("a", None, ("a", "b")),
        ("b", None, ("b", "a")),
        (None, "a", ("b", "a")),
        (None, "c", ("a", "c")),
        ("c", "b", ("c", "b")),
    ],
)
def test_two_of_three_backends_are_chosen(backend, against, chosen):
    assert choose(["a", "b", "c"], backend, against) == chosen


def test_one_backend_alone_is_compared_with_nothing():
    with pytest.raises(ValueError, match=r"^--against: expected two backends to compare, got a alone$"):
        choose(["a"], None, None)


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
sys.argv = ["parity"]
from bench.parity.__main__ import main
main()
"""


def test_with_one_framework_it_names_the_missing_one():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "backend 'torch' needs torch, which is not installed" in done.stderr
