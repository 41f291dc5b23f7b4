"""An ONNX file gives what `predict` gives, for tables and networks of every kind, in a process without the project."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from shared_bottom import export_onnx
from tests.helpers.exported import assert_same, inputs_from, largest_error, untrained
from tests.helpers.strategies import repeatable
from tests.helpers.table_strategies import experiments, rows_of


def in_float64(network):
    """The same network in another precision."""
    return replace(network, params={name: value.astype(np.float64) for name, value in network.params.items()})


@pytest.mark.filterwarnings("ignore::shared_bottom.DataWarning")
@settings(repeatable, max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(experiment=experiments(), seed=st.integers(0, 2**32 - 1))
def test_the_file_gives_what_predict_gives(onnxruntime, tmp_path_factory, experiment, seed):
    trained = untrained(experiment, rows_of(experiment, 80, seed))
    rows = rows_of(experiment, 40, seed + 1, spread=1.5)
    try:
        predicted = trained.predict(rows)
    except ValueError:
        assume(False)
    path = tmp_path_factory.mktemp("exported") / "network.onnx"
    export_onnx(trained, path)
    onnx.checker.check_model(path, full_check=True)
    exported = onnxruntime(path, inputs_from(path, rows))
    if experiment.train.precision == "float64":
        assert_same(exported, predicted, 1e-12)
    else:  # what predict itself rounds off is more where a layer norm has a few units that are nearly equal
        exact = in_float64(trained).predict(rows)
        assert_same(exported, predicted, 1e-6 + 3 * largest_error(predicted, exact))
