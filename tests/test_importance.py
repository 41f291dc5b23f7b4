"""Permutation importance: it is scikit-learn's, of whole columns of the table, in the units of the label columns."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance as of_sklearn

from shared_bottom import fit_columns, fit_table, permutation_importance
from shared_bottom.importance import input_places, sample
from spec import CategoricalColumn, Dataset, NumericColumn, TimeColumn
from tests.helpers.builders import rejection
from tests.helpers.cli import EXPERIMENT, LABELS, changed, error, fit, run, table, write, write_experiment

ROWS = table(80, seed=1)
INPUTS = ["x", "y", "colour", "seen"]
MAIN = {"click": "auc", "price": "rmse", "region": "accuracy"}


@pytest.fixture(scope="module")
def fitted():
    """A network that has learned a little."""
    pytest.importorskip("torch")
    train = replace(EXPERIMENT.train, execution="eager", epochs=5)
    experiment = replace(changed(EXPERIMENT, train=(), test=()), train=train)
    return fit_table(experiment, table(200), backend="torch", progress="none")


class Estimator:
    """What scikit-learn takes for a model."""

    def fit(self, *_):
        raise NotImplementedError


@pytest.mark.parametrize("task", MAIN)
def test_it_is_that_of_scikit_learn(fitted, task):
    frame = ROWS.to_pandas()
    ours = permutation_importance(fitted, ROWS, repeats=3, seed=7)

    def score(_, inputs, __):
        value = fitted.evaluate(pd.concat([inputs, frame[list(LABELS)]], axis=1))[task][MAIN[task]]
        return -value if task == "price" else value

    theirs = of_sklearn(Estimator(), frame[INPUTS], frame["click"], scoring=score, n_repeats=3, random_state=7)
    assert list(ours.drops[task]) == INPUTS
    np.testing.assert_allclose([*ours.drops[task].values()], theirs.importances, rtol=1e-9, atol=1e-12)
    assert np.abs(theirs.importances).max() > 0.01
    assert ours.metrics == MAIN
    assert ours.values[task] == pytest.approx(fitted.evaluate(ROWS)[task][MAIN[task]], rel=1e-12)


def test_a_column_that_the_network_does_not_use_has_0_and_comes_last(fitted):
    params = fitted.params | {"embeddings.colour": np.zeros_like(fitted.params["embeddings.colour"])}
    result = permutation_importance(replace(fitted, params=params), ROWS)
    for drops in result.drops.values():
        assert drops["colour"].tolist() == [0.0] * 5
        assert drops["x"].any()
    assert result.columns.index("colour") > result.columns.index("x")


def test_a_seed_decides(fitted):
    one, same, other = (permutation_importance(fitted, ROWS, repeats=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.drops["price"]["x"], same.drops["price"]["x"])
    assert (one.drops["price"]["x"] != other.drops["price"]["x"]).all()


def test_of_a_metric_that_is_not_defined_there_is_none(fitted):
    frame = ROWS.to_pandas().assign(click=None)
    result = permutation_importance(fitted, frame, repeats=2)
    assert np.isnan([*result.drops["click"].values()]).all()
    assert np.isfinite([*result.drops["price"].values()]).all()
    assert sorted(result.columns) == sorted(INPUTS)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_of_many_rows_some_are_drawn_while_they_are_read_however_they_come(size):
    rows = Dataset(numeric=np.arange(100.0)[:, None])
    drawn = sample((rows.take(slice(i, i + size)) for i in range(0, 100, size)), 30, seed=3).numeric[:, 0]
    assert len(drawn) == 30
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(drawn, sample([rows], 30, seed=3).numeric[:, 0])
    assert sample([rows], 100).rows == sample([rows], 200).rows == 100


def test_each_row_is_drawn_with_the_same_probability():
    rows = Dataset(numeric=np.arange(10.0)[:, None])
    batches = [rows.take(slice(0, 3)), rows.take(slice(3, 10))]
    counts = sum(np.isin(np.arange(10), sample(batches, 4, seed).numeric[:, 0]) for seed in range(1000))
    assert (np.abs(counts - 400) < 80).all()  # five standard deviations


def test_a_column_is_all_that_it_becomes():
    experiment = changed(
        EXPERIMENT,
        train=(),
        test=(),
        numeric=(NumericColumn(name="x", bins=4), NumericColumn(name="y")),
        categorical=(
            CategoricalColumn(name="colour"),
            CategoricalColumn(name="y"),
            CategoricalColumn(name="words", length=3, separator=" "),
        ),
        time=(TimeColumn(name="seen", parts=("elapsed_days", "weekday", "year", "hour")),),
    )
    columns = fit_columns(experiment, table(60).append_column("words", [["a b c", "a", None] * 20]))
    model, places = columns.model(experiment.model), input_places(columns)
    assert sorted(number for place in places.values() for number in place.numeric) == [*range(model.numeric)]
    width = sum(feature.length for feature in model.categorical)
    assert sorted(number for place in places.values() for number in place.categorical) == [*range(width)]
    indicators = [name.partition(".")[0] for name in columns.indicators]
    assert "y" in indicators
    sizes = {
        name: (len(place.numeric) - indicators.count(name), len(place.categorical)) for name, place in places.items()
    }
    assert sizes == {"x": (4, 0), "y": (1, 1), "colour": (0, 1), "words": (0, 3), "seen": (2, 2)}


@pytest.mark.parametrize(
    ("argument", "value"),
    [("repeats", 0), ("repeats", 2.0), ("seed", -1), ("seed", 2**32), ("seed", None), ("most", 0), ("most", True)],
)
def test_what_is_no_number_is_refused(fitted, argument, value):
    line = rejection(permutation_importance, fitted, ROWS, **{argument: value})
    assert line.startswith(f"{argument}: expected an integer from ")
    assert line.endswith(f", got {value!r}")


def test_evaluate_prints_it_writes_it_and_draws_it(trained, tmp_path, capsys):
    file, flags = write(tmp_path / "rows.parquet", ROWS), ("--backend", "torch")
    pytest.importorskip("torch")
    run(
        "evaluate",
        trained,
        "--data",
        file,
        "--importance",
        "--json",
        tmp_path / "m.json",
        "--plot",
        tmp_path / "i.svg",
        *flags,
    )
    said = capsys.readouterr().out
    assert "by how much the metric is worse when the column is permuted" in said
    lines = {line.split()[0]: line for line in said.splitlines() if "±" in line}
    assert sorted(lines) == sorted(INPUTS)
    assert said.splitlines()[-2:] == [
        f"{path.stat().st_size:,} bytes: {path}" for path in (tmp_path / "m.json", tmp_path / "i.svg")
    ]
    result = json.loads((tmp_path / "m.json").read_text())["importance"]
    assert {task: list(drops) for task, drops in result.items()} == dict.fromkeys(MAIN, INPUTS)
    assert f"{np.mean(result['click']['x']):.4g} ± {np.std(result['click']['x']):.2g}" in lines["x"]
    assert (tmp_path / "i.svg").read_text().count("drop of ") == 2  # auc and accuracy; rmse rises


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--plot", "i.png"), "--plot: expected --importance with it, got none"),
        (("--importance", "--repeats", "0"), "repeats: expected an integer from 1 to "),
        (("--importance", "--seed", "-1"), "seed: expected an integer from 0 to "),
        (("--importance", "--plot", "i.pdf"), "--plot: expected a file .png or .svg, got 'i.pdf'"),
        (("--importance", "--plot", "none/i.png"), "--plot: expected a file in a folder that can be written"),
    ],
)
def test_a_plot_that_cannot_be_drawn_is_refused_before_there_is_work(trained, capsys, flags, said):
    assert error(capsys, "evaluate", trained, *flags).startswith(said)


@pytest.mark.slow
def test_the_report_of_fit_shows_it_if_asked(tmp_path):
    pytest.importorskip("torch")
    out = fit(write_experiment(tmp_path), tmp_path / "run", "torch", "--quiet", "--importance")
    assert (out / "plots" / "importance.png").exists()
    assert "What each input column matters to each task" in (out / "report.html").read_text()
