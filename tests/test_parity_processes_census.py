"""Two processes draw one process's curve of the public data set, to 1e-9 over a few hundred steps in float64."""

from dataclasses import replace

import pytest

from shared_bottom.tables.census_income import load
from spec import presets
from tests.helpers.backends import installed
from tests.helpers.census_files import OFFICIAL_FOLDER
from tests.helpers.checkpoints import assert_same_run
from tests.helpers.processes import together
from tests.helpers.shared_batches import Case, assert_one_curve

BATCH, EPOCHS = 128, 8


@pytest.mark.skipif(not OFFICIAL_FOLDER.is_dir(), reason=f"the official files are not in {OFFICIAL_FOLDER}")
def test_census_income():
    """25 batches of 128 rows and one of 100 an epoch."""
    installed("jax")
    census = load(OFFICIAL_FOLDER)
    train = replace(presets.census_training(), batch_size=BATCH, epochs=EPOCHS, precision="float64", device="cpu")
    rows = census.train.take(slice(25 * BATCH + 100))
    case = Case(presets.census_model(census.vocabularies), train, rows, census.validation.take(slice(1000)))
    first, second = together(2, case.fit, "jax", "epoch")
    assert first.history.processes == 2
    assert first.history.step_loss.shape == (26 * EPOCHS,)
    assert_one_curve(first, case.fit("jax", "epoch"))
    assert_same_run(first, second)
