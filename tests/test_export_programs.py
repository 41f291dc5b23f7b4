"""What a backend exports gives what its `predict` gives, in a process that has the framework and not the project."""

from dataclasses import replace

import numpy as np
import pytest

from spec import CategoricalFeature, initial_params
from tests.helpers.backends import BACKENDS, installed
from tests.helpers.exported import Reader
from tests.helpers.sharing_models import data_of, model_of

FEATURES = (
    CategoricalFeature(name="colour", vocabulary=4, dimension=2),
    CategoricalFeature(name="seen", vocabulary=6, dimension=3, length=3, table="items"),
    CategoricalFeature(name="bought", vocabulary=6, dimension=3, length=2, table="items", pooling="max"),
)
CASES = {
    "experts, and numbers alone": (model_of("mmoe", "options", categorical=()), "float32"),
    "a trunk, and ids alone": (
        model_of("shared bottom", "conditional", numeric=0, categorical=FEATURES[:1]),
        "float32",
    ),
    "levels": (model_of("ple of 3 levels", "amounts", categorical=FEATURES, normalization="layer"), "float64"),
}


@pytest.fixture(scope="module", params=BACKENDS)
def exporting(request, tmp_path_factory):
    """A backend that exports, and a process that reads its files with the library of the backend's name."""
    backend = installed(request.param)
    reader = Reader(backend.name, tmp_path_factory.mktemp("reader"))
    yield backend, reader
    reader.close()


@pytest.mark.parametrize("case", CASES)
def test_the_program_gives_what_predict_gives(exporting, tmp_path, case):
    (backend, read), (model, precision) = exporting, CASES[case]
    params = initial_params(model, precision=precision)
    path = tmp_path / f"network{backend.export_suffix}"
    path.write_bytes(backend.export(model, params))
    data = replace(data_of(model, 16, missing=False, weighted=False), labels={})
    predicted = backend.predict(model, params, data, device="cpu")
    inputs = {"numeric": data.numeric, "categorical": data.categorical}
    types = {"numeric": precision, "categorical": "int32"}
    arrays = {name: array.astype(types[name]) for name, array in inputs.items() if array is not None}
    tolerance = {"float32": 1e-6, "float64": 1e-14}[precision]
    for rows in (1, 16):  # one program for any number of them
        exported = read(path, {name: array[:rows] for name, array in arrays.items()})
        assert exported.keys() == predicted.keys()
        for name, expected in predicted.items():
            error = np.abs(exported[name] - expected[:rows]).max()
            assert error <= tolerance * np.abs(expected).max(), name
