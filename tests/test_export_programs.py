"""What a backend exports gives what its `predict` gives, in a process that has the framework and not the project."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from examples.clicks import visits
from shared_bottom import fit_columns, read_rows, read_table_experiment
from shared_bottom.tables.census_income import VOCABULARIES
from spec import CategoricalFeature, initial_params, presets
from spec.data import random_data
from tests.helpers.backends import BACKENDS, installed
from tests.helpers.exported import Reader
from tests.helpers.sharing_models import data_of, model_of
from tests.helpers.strategies import model_specs, repeatable
from tests.test_export import EXAMPLES

FEATURES = (
    CategoricalFeature(name="colour", vocabulary=4, dimension=2),
    CategoricalFeature(name="seen", vocabulary=6, dimension=3, length=3, table="items"),
    CategoricalFeature(name="bought", vocabulary=6, dimension=3, length=2, table="items", pooling="max"),
)
MODELS = {
    "experts, and numbers alone": model_of("mmoe", "options", categorical=()),
    "a trunk, and ids alone": model_of("shared bottom", "conditional", numeric=0, categorical=FEATURES[:1]),
    "levels": model_of("ple of 3 levels", "amounts", categorical=FEATURES, normalization="layer"),
}


@pytest.fixture(scope="module", params=BACKENDS)
def exporting(request, tmp_path_factory):
    """A backend that exports, and a process that reads its files with the library of the backend's name."""
    backend = installed(request.param)
    reader = Reader(backend.name, tmp_path_factory.mktemp("reader"))
    yield backend, reader
    reader.close()


def check(exporting, path, model, data, precision):
    """Export a network, and compare what the program computes of rows with what the backend predicts."""
    backend, read = exporting
    params, data = initial_params(model, precision=precision), replace(data, labels={}, sample_weight=None)
    path.write_bytes(backend.export(model, params))
    predicted = backend.predict(model, params, data, device="cpu")
    types = {"numeric": precision, "categorical": "int32"}
    arrays = {"numeric": data.numeric, "categorical": data.categorical}
    arrays = {name: array.astype(types[name]) for name, array in arrays.items() if array is not None and array.size}
    tolerance = {"float32": 1e-6, "float64": 1e-13}[precision]
    for rows in (1, data.rows):  # one program for any number of them
        exported = read(path, {name: array[:rows] for name, array in arrays.items()})
        assert exported.keys() == predicted.keys()
        for name, expected in predicted.items():
            error = np.abs(exported[name] - expected[:rows]).max()
            assert error <= tolerance * np.abs(expected).max(), name


@pytest.mark.parametrize("name", MODELS)
def test_ways_of_sharing_and_losses(exporting, tmp_path, name):
    data = data_of(MODELS[name], 16, missing=False, weighted=False)
    check(exporting, tmp_path / "program.pt2", MODELS[name], data, "float64")


def test_the_clicks_example(exporting, tmp_path):
    spec, rows = read_table_experiment(EXAMPLES / "clicks.toml"), visits(500, seed=1)
    columns = fit_columns(spec, rows)
    data = read_rows(columns, rows, labels=False)
    check(exporting, tmp_path / "program.pt2", columns.model(spec.model), data, "float32")


def test_the_census_example(exporting, tmp_path):
    model = presets.census_model(VOCABULARIES)
    check(exporting, tmp_path / "program.pt2", model, random_data(model, 200), "float32")


@settings(repeatable, max_examples=4, phases=[Phase.generate])
@given(model=model_specs(dropout=st.just(0.0)))
def test_generated_networks(exporting, tmp_path_factory, model):
    path = tmp_path_factory.mktemp("programs") / "program.pt2"
    check(exporting, path, model, random_data(model, 16), "float64")
