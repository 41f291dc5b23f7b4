"""An ONNX file gives what `predict` gives, for tables and networks of every kind, in a process without the project."""

import onnx
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from shared_bottom import export_onnx
from tests.helpers.exported import assert_same, inputs_from, untrained
from tests.helpers.strategies import repeatable
from tests.helpers.table_strategies import experiments, rows_of


def rounding(trained):
    """Of the largest prediction, what the order of sums may change. Layer norm of few units makes it larger."""
    if next(iter(trained.params.values())).dtype == "float64":
        return 1e-12
    return 2e-5 if trained.model.normalization == "none" else 2e-4


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
    assert_same(exported, predicted, rounding(trained))
