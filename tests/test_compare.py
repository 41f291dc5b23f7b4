"""Runs side by side: the tables, the plot and the page, of runs that have ended and of runs that have not."""

import json
import os
import shutil
import socket
from dataclasses import replace

import pytest

from shared_bottom.cli.runs import read_run
from shared_bottom.reports.comparison import ComparedRun, EpochLine, curves, tables
from shared_bottom.reports.epochs import epoch_lines
from spec import EarlyStopping, NetworkSpec, to_toml
from spec.files import dotted
from tests.helpers.cli import EXPERIMENT, error, fit, run, write_experiment
from tests.helpers.histories import history_of

METRICS = {"click": {"auc": 0.75, "log_loss": 0.5}, "price": {"rmse": 2.0}, "region": {"accuracy": float("nan")}}


def folder_of(path, experiment=EXPERIMENT, **history):
    """A run's folder as it is while the run is in progress."""
    path.mkdir()
    (path / "experiment.toml").write_text(to_toml(experiment))
    (path / "metrics.jsonl").write_text(epoch_lines(history_of(experiment.model, **history)))
    return path


def compared(name="a", metrics=(0.7, 0.8), best_epoch=None, **train):
    """A run whose only metric is the AUC of a task."""
    epochs = [
        EpochLine(epoch=i, loss=1.0 / i, seconds=2.0, metrics={"click": {"auc": value}})
        for i, value in enumerate(metrics, 1)
    ]
    fields = dotted(replace(EXPERIMENT, train=replace(EXPERIMENT.train, **train)))
    return ComparedRun(name=name, epochs=epochs, fields=fields, best_epoch=best_epoch)


def cells(table):
    return {name: values for name, *values in table.rows}


def test_a_run_of_the_command_is_shown_with_all_that_is_known(trained, tmp_path, capsys):
    other = folder_of(tmp_path / "other", epochs=1, metrics=METRICS)
    run("compare", trained, other, "--json", tmp_path / "runs.json")
    said = capsys.readouterr().out
    saved, unsaved = json.loads((tmp_path / "runs.json").read_text())
    assert (saved["name"], unsaved["name"]) == (str(trained), str(other))
    written = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert saved["epochs"] == [
        {name: line[name] for name in ("epoch", "loss", "seconds", "metrics")} for line in written
    ]
    assert saved["execution"] in ("eager", "step", "epoch")
    assert saved["backend"] in said
    assert (saved["state"], unsaved["state"]) == ("finished", None)
    assert unsaved["backend"] is unsaved["execution"] is None
    lines = {line.split("  ")[0].strip(): line.split()[-2:] for line in said.splitlines() if line.strip()}
    assert lines["training loss, least"][1] == f"{unsaved['epochs'][0]['loss']:.5g}"
    assert lines["click · auc"][1].removeprefix("*") == "0.75"
    assert lines["region · accuracy"][1] == "–"
    assert lines["data.train"][1] == "train.csv"


def test_the_best_epoch_is_that_of_early_stopping(tmp_path):
    experiment = replace(EXPERIMENT, train=replace(EXPERIMENT.train, epochs=3, early_stopping=EarlyStopping()))
    folder = fit(write_experiment(tmp_path, experiment), tmp_path / "run", "torch", "--quiet")
    best = read_run(folder)
    chosen = best.epochs[best.best_epoch - 1]
    shutil.rmtree(folder / "checkpoints")  # large, and needed no more
    without = read_run(folder)
    assert (without.epochs, without.best_epoch, without.backend) == (best.epochs, None, "torch")
    assert best.chosen == chosen
    assert without.chosen == best.epochs[-1]


def test_a_run_without_the_file_of_its_epochs_is_read_from_its_newest_checkpoint(trained, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "metrics.jsonl").unlink()
    assert read_run(copy).epochs == read_run(trained).epochs


def test_a_run_in_progress_is_shown_as_far_as_it_is(tmp_path, capsys):
    begun = folder_of(tmp_path / "begun", epochs=0)
    going = folder_of(tmp_path / "going", epochs=2, metrics=METRICS)
    with (going / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "st')  # being written
    run("compare", begun, going, "--out", tmp_path / "plot.png")
    said = capsys.readouterr().out
    assert "0 of 2" in said
    assert "2 of 2" in said
    assert "the experiments are the same" in said
    plot = (tmp_path / "plot.png").read_bytes()
    assert plot.startswith(b"\x89PNG")
    assert said.endswith(f"{len(plot):,} bytes: {tmp_path / 'plot.png'}\n")


def test_the_fields_that_differ_are_named_as_flags_are():
    network = NetworkSpec(trunk=(9, 5), tasks=EXPERIMENT.model.tasks, sharing="mmoe")
    other = replace(compared("b"), fields=dotted(replace(EXPERIMENT, model=network)))
    _, _, differing = tables([compared(seed=3), other])
    assert cells(differing) == {
        "model.trunk": ["6", "9 5"],
        "model.sharing.kind": ["shared_bottom", "mmoe"],
        "model.sharing.experts": ["–", "8"],
        "model.activation": ["tanh", "relu"],
        "train.seed": ["3", "1"],
    }


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (((0.7, 0.8), (0.6, 0.9)), ["0.8", "*0.9"]),
        (((0.9, 0.8), (0.6, 0.7)), ["*0.8", "0.7"]),
        (((0.8,), (0.8,)), ["*0.8", "*0.8"]),
        (((0.8,), (None,)), ["0.8", "–"]),
        (((0.8,), ()), ["0.8", "–"]),
    ],
)
def test_the_metrics_are_those_of_the_chosen_epoch_and_the_best_run_is_marked(values, shown):
    runs = [compared(f"run {i}", metrics) for i, metrics in enumerate(values)]
    assert cells(tables(runs)[1]) == {"click · auc": shown}


def test_the_outcomes_are_summed_up():
    outcomes = cells(tables([compared(best_epoch=1, epochs=8), compared("b", metrics=())])[0])
    assert outcomes["epochs"] == ["2 of 8", "0 of 2"]
    assert outcomes["best epoch"] == ["1", "–"]
    assert outcomes["seconds"] == ["4.0", "0.0"]
    assert outcomes["training loss, last epoch"] == ["0.5", "–"]


def test_the_plot_has_a_line_for_each_run_in_each_panel_and_their_names_in_the_legend():
    runs = [compared(f"run {i}", (0.1 * i, 0.05 * i), best_epoch=1) for i in range(8)]
    figure = curves(runs)
    loss, auc = figure.axes
    assert [panel.get_title() for panel in figure.axes] == ["loss", "click · auc"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [run.name for run in runs]
    lines = auc.lines[::2]
    assert [list(line.get_ydata()) for line in lines] == [[0.1 * i, 0.05 * i] for i in range(8)]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 8
    assert [list(mark.get_xdata()) for mark in loss.lines[1::2]] == [[1]] * 8


def test_the_page_has_the_tables_and_the_plot_and_needs_no_other_file(tmp_path):
    folders = [folder_of(tmp_path / name, epochs=1, metrics=METRICS) for name in ("<b>", "c")]
    run("compare", *folders, "--out", tmp_path / "runs.html")
    page = (tmp_path / "runs.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page
    assert "click · auc" in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("<img ") == page.count('src="data:image/') == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "DIR: expected at least one folder of a run, got none"),
        (("none",), "none: expected the folder of a run, got one with no experiment.toml"),
        (("a", "a"), "DIR: expected distinct names, got 'a' twice"),
        (("a", "--out", "plot.pdf"), "--out: expected a file .png or .svg or .html, got 'plot.pdf'"),
        (("a", "--out", "none/plot.png"), "--out: expected a file in a folder that can be written"),
        (("a", "--json", "a/metrics.jsonl"), "--json: expected a file outside of 'a', got 'a/metrics.jsonl'"),
        (("a", "--out", "b.svg", "--json", "b.svg"), "--json: expected a file other than 'b.svg', got 'b.svg'"),
        (("damaged",), "damaged/metrics.jsonl: expected JSON, got an error in line 1, column "),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    folder_of(tmp_path / "a")
    (folder_of(tmp_path / "damaged") / "metrics.jsonl").write_text('{"epoch": 1\n')
    monkeypatch.chdir(tmp_path)
    assert error(capsys, "compare", *arguments).startswith(said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metrics.jsonl", "{}", "0.epoch: expected a value, got none (and 2 more)"),
        ("metrics.jsonl", '{"epoch": 1, "loss": "a", "seconds": 1}', "0.loss: expected a number, got 'a'"),
        (
            "metrics.jsonl",
            '{"epoch": -5, "loss": 1, "seconds": 1}',
            "0.epoch: expected a number greater than 0, got -5",
        ),
        (
            "metrics.jsonl",
            '{"epoch": 1, "loss": 1, "seconds": 1, "metrics": {"click": 3}}',
            "0.metrics.click: expected a dictionary, got 3",
        ),
        ("status.json", '{"state": 3}', "state: expected a string, got 3"),
        ("status.json", "[", "expected JSON, got an error in line 2, column 1: expecting value"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong_in_it(tmp_path, capsys, name, content, said):
    folder = folder_of(tmp_path / "a")
    (folder / name).write_text(f"{content}\n")
    assert error(capsys, "compare", folder) == f"{folder / name}: {said}"


def test_a_damaged_checkpoint_is_named(trained, tmp_path, capsys):
    copy = shutil.copytree(trained, tmp_path / "copy")
    *_, manifest = sorted(copy.glob("checkpoints/step-*/checkpoint.json"))
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"best": [1]}))
    assert error(capsys, "compare", copy).startswith(f"{manifest}: best: expected the fields of Best")


def test_of_a_metric_that_a_later_version_has_no_run_is_the_best(tmp_path, capsys):
    folders = [folder_of(tmp_path / name, epochs=1, metrics={"click": {"gain@3": 0.5}}) for name in "ab"]
    run("compare", *folders)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "gain@3" in line)
    assert line.split()[-2:] == ["0.5", "0.5"]


def test_runs_without_validation_have_no_table_of_metrics(tmp_path, capsys):
    run("compare", folder_of(tmp_path / "a"), folder_of(tmp_path / "b"))
    said = capsys.readouterr().out
    assert "metrics of the validation rows" not in said
    assert said.endswith("the experiments are the same\n")


@pytest.mark.parametrize(
    ("state", "process", "host", "shown"),
    [
        ("running", os.getpid(), socket.gethostname(), "running"),
        ("running", 2**22 + 1, socket.gethostname(), "killed"),  # above the largest number that Linux gives
        ("running", 2**22 + 1, "elsewhere", "running"),
        ("stopped", 2**22 + 1, socket.gethostname(), "stopped"),
        ("dreaming", 1, "elsewhere", "dreaming"),
        (None, None, None, None),
    ],
    ids=["alive", "gone", "on another machine", "stopped", "of a later version", "unknown"],
)
def test_a_run_whose_process_is_gone_was_killed(tmp_path, state, process, host, shown):
    folder = folder_of(tmp_path / "a")
    (folder / "status.json").write_text(json.dumps({"state": state, "process": process, "host": host, "step": 3}))
    assert read_run(folder).state == shown
