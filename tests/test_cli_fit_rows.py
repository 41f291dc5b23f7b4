"""Of very many rows, fit looks at some when it ends: training rows only for want of validation rows, and plots."""

import numpy as np
import pytest

from shared_bottom.folder import read_trained
from shared_bottom.tables.training import read_table
from spec import load_backend
from tests.helpers.cli import EXPERIMENT, changed, fit, without_plots, write_experiment


@pytest.fixture
def reported(monkeypatch):
    """What the report of a run is made of."""
    asked = {}
    monkeypatch.setattr("shared_bottom.cli.outcome.write_report", lambda folder, **given: asked.update(given))
    monkeypatch.setattr("shared_bottom.cli.outcome.MOST", 12)
    return asked


@pytest.mark.parametrize("cache", [(), ("--no-cache",)])
def test_of_many_training_rows_some_are_evaluated_and_it_says_so(tmp_path, monkeypatch, capsys, reported, cache):
    experiment = changed(EXPERIMENT, validation_fraction=0.0)
    file = write_experiment(tmp_path / "data", experiment)
    out = fit(file, tmp_path / "run", "torch", "--train.epochs", "1", *cache)
    assert "training rows, one in 5, in the columns' own units" in capsys.readouterr().out
    assert reported["evaluated_on"] == "training rows, one in 5"
    _, training, _ = read_table(experiment, file.parent)
    trained = read_trained(out)
    predicted = load_backend("torch").predict(trained.model, trained.params, training.take(np.arange(0, 60, 5)))
    np.testing.assert_array_equal(reported["labels"]["click"], training.labels["click"][::5])
    np.testing.assert_array_equal(reported["sample_weight"], training.sample_weight[::5])
    np.testing.assert_allclose(reported["predictions"]["click"], predicted["click"], rtol=1e-6)


def test_validation_rows_are_all_evaluated_but_some_reported(tmp_path, capsys, reported):
    experiment = changed(EXPERIMENT, validation_fraction=0.5)
    file = write_experiment(tmp_path / "data", experiment)
    out = fit(file, tmp_path / "run", "torch", "--train.epochs", "1")
    printed = capsys.readouterr().out
    assert "validation rows, in the columns' own units" in printed
    _, _, validation = read_table(experiment, file.parent)
    every = -(-validation.rows // 12)
    assert every > 1
    assert reported["evaluated_on"] == f"validation rows, one in {every}"
    for labels in (reported["labels"], reported["predictions"]):
        assert {len(values) for values in labels.values()} == {len(range(0, validation.rows, every))}
    trained = read_trained(out)
    predicted = load_backend("torch").predict(trained.model, trained.params, validation)
    np.testing.assert_allclose(reported["predictions"]["click"], predicted["click"][::every], rtol=1e-6)


def test_few_rows_are_all_reported(tmp_path, monkeypatch, capsys):
    without_plots(monkeypatch)
    file = write_experiment(tmp_path / "data", changed(EXPERIMENT, validation_fraction=0.0))
    out = fit(file, tmp_path / "run", "torch", "--train.epochs", "1")
    assert "training rows, in the columns' own units" in capsys.readouterr().out
    assert "training rows (60 rows)" in (out / "report.html").read_text()
