"""fit in several processes: the run of one process, written and printed by process 0."""

import json
import os
import signal
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.helpers.checkpoints import steps_saved
from tests.helpers.cli import contents, run, write_experiment
from tests.helpers.launched import children, ended, flags, started, torchrun, wait_for_checkpoint

LAUNCH = ["shared_bottom", "launch", "-n", "2"]
LONG = ("--train.epochs", "100000", "--quiet")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_experiment(tmp_path_factory.mktemp("data"))


def starting(backend, *arguments):
    """What starts two processes for the backend: torchrun for PyTorch, launch for JAX."""
    pytest.importorskip(backend)
    return torchrun(*arguments) if backend == "torch" else [*LAUNCH, *arguments]


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["metrics"][task][name] for line in lines for task, name in (("click", "log_loss"), ("price", "rmse"))]


def without_threads(printed):
    return [line for line in printed.splitlines() if "threads" not in line]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_it_is_the_run_of_one_process_and_printed_once(file, tmp_path, capsys, backend):
    options = flags(backend, "--train.precision", "float64")
    run("fit", file, "--out", tmp_path / "one", *options)
    said = capsys.readouterr()
    with started(starting(backend, "fit", file, "--out", tmp_path / "two", *options)) as (process,):
        code, out, err = ended(process)
    assert code == 0, err
    assert without_threads(out.replace(str(tmp_path / "two"), str(tmp_path / "one"))) == without_threads(said.out)
    assert out.count("report: ") == 1
    assert [line.split(",")[0] for line in err.splitlines() if line.startswith("epoch")][-1] == "epoch 2/2"
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    one, other = (load_file(tmp_path / name / "model" / "params.safetensors") for name in ("one", "two"))
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-12)


@pytest.mark.parametrize(("backend", "to"), [("jax", "process 1"), ("torch", "torchrun")])
def test_sigterm_stops_all_after_the_same_step(file, tmp_path, backend, to):
    out = tmp_path / "run"
    with started(starting(backend, "fit", file, "--out", out, *flags(backend, *LONG))) as (process,):
        wait_for_checkpoint(out, [process])
        if to == "process 1":
            os.kill(children(process)[1], signal.SIGTERM)
        else:
            process.terminate()
        code, printed, err = ended(process)
    assert printed == ""
    last = steps_saved(out / "checkpoints")[-1]
    stopped = [line for line in err.splitlines() if "stopped after step" in line]
    assert [line.partition("; ")[0] for line in stopped] == [f"SIGTERM: stopped after step {last}, saved"]
    if backend == "jax":
        assert code == 143
        assert len(err.splitlines()) == 1


def test_ctrl_c_and_again_by_the_launcher(file, tmp_path):
    out = tmp_path / "run"
    with started([*LAUNCH, "fit", file, "--out", out, *flags("jax", *LONG)]) as (process,):
        wait_for_checkpoint(out, [process])
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        code, _, err = ended(process)
    assert code in (130, -signal.SIGINT)  # the latter if the second came at the very end of the launcher
    assert err.count("SIGINT: stopped after step") == 1
