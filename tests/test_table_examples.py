"""The two example TOMLs, on rows like those that they are for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared_bottom.run.metrics import evaluate
from shared_bottom.tables import census_income
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.rows import fit_columns, read_rows, read_table_experiment, stream_rows
from spec import from_json, load_backend, presets, to_json
from tests.helpers.census_files import table

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clicks") / "new"
    command = [sys.executable, str(EXAMPLES / "clicks.py"), "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_clicks_says_what_it_wrote_and_leaves_nothing_else(clicks):
    folder, said = clicks
    assert sorted(path.name for path in folder.iterdir()) == ["clicks.parquet", "clicks_test.parquet"]
    first, second = said.splitlines()
    assert first.startswith(f"{folder / 'clicks.parquet'}: 20000 visits, ")
    assert second.startswith(f"{folder / 'clicks_test.parquet'}: 5000 visits, ")


def test_clicks_that_cannot_be_written_are_an_error(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, str(EXAMPLES / "clicks.py"), "--out", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")


@pytest.mark.slow
def test_clicks_and_what_is_spent_can_be_learnt(clicks):
    pytest.importorskip("jax")  # either backend would do, and they draw the same curves: this one takes less time
    folder, _ = clicks
    spec = read_table_experiment(EXAMPLES / "clicks.toml")
    columns = from_json(FittedColumns, to_json(fit_columns(spec, folder)))
    model, backend = columns.model(spec.model), load_backend("jax")
    parts = {part: read_rows(columns, folder, spec.data.train, part) for part in ("training", "validation")}
    fitted = backend.fit(model, spec.train, parts["training"], parts["validation"])
    test = read_rows(columns, folder, spec.data.test)
    predictions = backend.predict(model, fitted.params, test)
    # It is 0.76 without the time, the categories and the list.
    assert fitted.history.epochs[-1]["metrics"]["click"]["auc"] > 0.83
    assert evaluate(model, predictions, test)["click"]["auc"] > 0.83

    spent = columns.restore("spend", test.labels["spend"])[:, 0]
    clicked = ~np.isnan(spent)
    assert 0.3 < clicked.mean() < 0.5
    error = np.log(columns.restore("spend", predictions["spend"])[clicked, 0] / spent[clicked])
    assert error.std() < 0.6 * np.log(spent[clicked]).std()

    streamed = [backend.predict(model, fitted.params, part) for part in stream_rows(columns, folder, spec.data.test)]
    np.testing.assert_allclose(np.concatenate([part["click"] for part in streamed]), predictions["click"], rtol=1e-5)


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
def test_census_is_read_as_the_preset_has_it(tmp_path, install):
    folder, rows = install(table(500), table(40)), 500
    (tmp_path / "census-income").symlink_to(folder)
    path = tmp_path / "census.toml"
    # So few rows have the values of one only; the label's other value is put into the last.
    text = (EXAMPLES / "census.toml").read_text(encoding="utf-8").replace('"50000+."', '"- 50000."')
    path.write_text(text.replace('"Never married"', '"Divorced"').replace("= 0.1", "= 0.0"), encoding="utf-8")
    spec = read_table_experiment(path)
    columns = fit_columns(spec, tmp_path)
    train, test = read_rows(columns, tmp_path, spec.data.train), read_rows(columns, tmp_path, spec.data.test)
    census = census_income.load(folder)
    assert train.rows == rows
    np.testing.assert_allclose(train.numeric, census.train.numeric, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(train.categorical, census.train.categorical)
    assert test.rows == census.validation.rows + census.test.rows
    assert columns.model(spec.model) == presets.census_model(census.vocabularies)
    assert spec.train == presets.census_training()
