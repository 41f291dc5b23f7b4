"""fit, describe, predict and evaluate with ways of sharing, losses and a task that depends on another."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared_bottom.folder import read_trained
from shared_bottom.tables.rows import read_table_experiment
from spec import (
    PLE,
    Adam,
    Huber,
    LabelColumn,
    LogLoss,
    MMoE,
    NetworkSpec,
    NumericColumn,
    Quantile,
    TableExperiment,
    TableSpec,
    TaskSpec,
    TrainSpec,
    to_toml,
)
from tests.helpers.cli import contents, fit, run, without_plots, write

pytestmark = pytest.mark.slow

LEVELS = Quantile(levels=(0.1, 0.9))
TASKS = (
    TaskSpec(name="click", kind="binary", loss=LogLoss(positive_weight=2.0)),
    TaskSpec(name="buy", kind="binary", given="click"),
    TaskSpec(name="spend", kind="regression", loss="zero_inflated_lognormal"),
    TaskSpec(name="visits", kind="regression", loss="poisson"),
    TaskSpec(name="price", kind="regression", loss=Huber(delta=0.5)),
    TaskSpec(name="wait", kind="regression", loss=LEVELS),
)
EXPERIMENT = TableExperiment(
    model=NetworkSpec(trunk=(8, 4), tasks=TASKS, sharing=MMoE(experts=3)),
    train=TrainSpec(optimizer=Adam(learning_rate=0.03), batch_size=32, epochs=4, device="cpu"),
    data=TableSpec(
        train=("train.parquet",),
        test=("train.parquet",),
        validation_fraction=0.25,
        numeric=(NumericColumn(name="x"), NumericColumn(name="z")),
        labels={task.name: LabelColumn(columns=(task.name,)) for task in TASKS}
        | {"wait": LabelColumn(columns=("wait",), transform="log1p")},
    ),
)
PREDICTED = [
    *("click", "buy", "buy_given_click"),
    *("spend", "spend_probability", "spend_location", "spend_scale"),
    *("visits", "price", "wait_q0.1", "wait_q0.9"),
]


def table(rows, seed=0):
    draw = np.random.default_rng(seed)
    x, z = draw.normal(size=(2, rows))
    click = draw.logistic(size=rows) < x
    buy = click & (draw.logistic(size=rows) < z)
    return pa.table(
        {
            "id": np.arange(rows),
            "x": x,
            "z": z,
            "click": click,
            "buy": buy,
            "spend": np.where(buy, np.exp(3.0 + 0.5 * x), 0.0),
            "visits": draw.poisson(np.exp(0.3 * z)),
            "price": 1000.0 + 50.0 * x,
            "wait": draw.exponential(40.0, rows),
        }
    )


def written(folder, experiment=EXPERIMENT):
    """The experiment's file, beside its table."""
    folder.mkdir(exist_ok=True)
    write(folder / "train.parquet", table(160))
    (folder / "shop.toml").write_text(to_toml(experiment))
    return folder / "shop.toml"


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    """What `fit` wrote, with its plots, by backend."""
    backend = name_of(trained)
    made = tmp_path_factory.mktemp(backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARED_BOTTOM_CACHE", str(made / "cache"))
        return fit(written(made), made / "run", backend, "--quiet")


def name_of(trained):
    return trained.parent.name.rstrip("0123456789")


def test_the_run_is_whole_and_its_experiment_is_the_file(folder):
    own = read_trained(folder)
    assert [task.objective for task in own.model.tasks] == [task.objective for task in TASKS]
    assert own.model.sharing == MMoE(experts=3)
    again = read_table_experiment(folder / "experiment.toml")
    assert again.model == EXPERIMENT.model
    assert {name.split(".")[0] for name in own.params} == {"experts", "gates", "tasks"}


def test_each_prediction_is_in_its_columns_unit_and_what_it_is_made_of_fits(folder, trained, tmp_path):
    rows, out = write(tmp_path / "rows.parquet", table(50, seed=1)), tmp_path / "p.parquet"
    run("predict", folder, rows, "--out", out, "--backend", name_of(trained), "--keep", "id", "spend", "wait")
    found = parquet.read_table(out)
    assert found.column_names == ["id", "spend_kept", "wait", *PREDICTED]
    assert found["spend_kept"].equals(table(50, seed=1)["spend"])
    column = {name: found[name].to_numpy() for name in PREDICTED}
    np.testing.assert_allclose(column["buy"], column["click"] * column["buy_given_click"], rtol=1e-5)
    location, scale = column["spend_location"], column["spend_scale"]
    mean = column["spend_probability"] * np.exp(location + scale**2 / 2)
    np.testing.assert_allclose(column["spend"], mean, rtol=1e-5)
    assert (column["visits"] > 0).all()
    assert 800 < column["price"].mean() < 1200
    assert (column["wait_q0.1"] > -1).all()  # what log1p takes
    assert column["wait_q0.1"].mean() < column["wait_q0.9"].mean()


def test_the_report_shows_each_task_and_who_uses_which_expert(folder):
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "mmoe (experts 3), trunk 8-4" in html
    assert "buy (binary given click)" in html
    assert "price (regression, loss huber (delta 0.5))" in html
    assert "Who uses which expert" in html
    drawn = {"losses", "metrics", "task_weights", "roc", "calibration", "regression", "gates"}
    assert contents(folder / "plots") == sorted(f"{name}.{form}" for name in drawn for form in ("png", "svg"))
    panels = re.findall(r">((?:price|spend|visits|wait)[^<]*)<", (folder / "plots" / "regression.svg").read_text())
    assert panels == ["spend", "visits", "price", "wait[q0.1]", "wait[q0.9]"]


def test_it_is_described_and_evaluated(folder, trained, capsys):
    capsys.readouterr()
    run("describe", folder)
    assert "experts.0…2.1" in capsys.readouterr().out
    run("evaluate", folder, "--backend", name_of(trained))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {task.name for task in TASKS} <= {row[0] for row in rows if row}


FLAGS = ("--model.sharing.kind", "ple", "--model.sharing.task-experts", "1", "--model.tasks.2.loss.kind", "absolute")


def test_flags_choose_another_way_and_another_loss_and_the_run_is_resumed_with_them(trained, tmp_path, monkeypatch):
    without_plots(monkeypatch)
    file, backend = written(tmp_path / "data"), name_of(trained)
    out = fit(file, tmp_path / "run", backend, "--quiet", *FLAGS, "--train.epochs", "1")
    experiment = read_table_experiment(out / "experiment.toml")
    assert experiment.model.sharing == PLE(task_experts=1)
    assert experiment.model.tasks[2] == replace(TASKS[2], loss="absolute")
    fit(file, out, backend, "--quiet", *FLAGS, "--train.epochs", "2", "--resume")
    whole = fit(file, tmp_path / "whole", backend, "--quiet", *FLAGS, "--train.epochs", "2")
    resumed, expected = read_trained(out).params, read_trained(whole).params
    assert resumed.keys() == expected.keys()
    assert all((resumed[name] == expected[name]).all() for name in expected)
    assert (out / "experiment.toml").read_text() == (whole / "experiment.toml").read_text()


def test_a_loss_that_is_left_out_is_the_one_that_its_default_names(trained, tmp_path, monkeypatch):
    without_plots(monkeypatch)
    tasks = tuple(replace(task, loss=None) for task in TASKS)
    named = tuple(replace(task, loss=task.objective) for task in tasks)
    made = []
    for name, of_task in (("left out", tasks), ("named", named)):
        experiment = replace(EXPERIMENT, model=replace(EXPERIMENT.model, tasks=of_task))
        made.append(fit(written(tmp_path / name, experiment), tmp_path / name / "run", name_of(trained), "--quiet"))
    one, other = (read_trained(folder).params for folder in made)
    assert all((one[name] == other[name]).all() for name in one)
