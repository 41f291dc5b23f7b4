"""In which unit a table's metrics are: that of the label's column, and for the loss the one that the network learns."""

from dataclasses import replace

import numpy as np
import pytest

from shared_bottom.run.metrics import Evaluation
from shared_bottom.table_training import fit_table
from shared_bottom.tables.rows import read_rows
from spec import LabelColumn, TaskSpec
from tests.helpers.table_files import simple

DRAW = np.random.default_rng(0)
TABLE = {"x": DRAW.normal(size=80), "w": DRAW.uniform(0.1, 2.0, 80)}
TABLE |= {"y": np.exp(TABLE["x"] + DRAW.normal(size=80)), "z": 100 + DRAW.normal(size=80)}
TABLE["y"][4] = np.nan


def trained_on(backend, *columns, **task):
    """A network trained on the table, its encoded rows, and what it predicts for them."""
    label = LabelColumn(columns=columns, transform="log1p", standardise=True)
    spec = simple((), label=label, kind="regression", outputs=len(columns), weight="w")
    tasks = (TaskSpec(name="y", kind="regression", outputs=len(columns), **task),)
    quick = replace(spec.train, epochs=2, execution="eager", device="cpu")
    spec = replace(spec, model=replace(spec.model, tasks=tasks), train=quick)
    trained = fit_table(spec, TABLE, backend=backend.name)
    rows = read_rows(trained.columns, TABLE)
    return trained, rows, backend.predict(trained.model, trained.params, rows, device="cpu")


def test_errors_are_in_the_columns_unit_and_the_loss_in_that_which_the_network_learns(backend):
    trained, rows, predicted = trained_on(backend, "y", "z", loss="huber", more_metrics=("r2", "mape"))
    found = trained.evaluate(TABLE)["y"]
    learned = Evaluation(trained.model, [(rows, predicted)]).metrics()["y"]
    kept = ~np.isnan(TABLE["y"])
    label, weight = np.stack([TABLE["y"], TABLE["z"]], axis=1)[kept], TABLE["w"][kept]
    error = label - trained.columns.restore("y", predicted["y"])[kept]
    variance = np.average((label - np.average(label, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
    square, size, relative = (
        np.average(e, axis=0, weights=weight) for e in (error**2, np.abs(error), np.abs(error / label))
    )
    assert list(found) == ["rmse", "mae", "r2", "mape", "loss"]
    assert found["loss"] == pytest.approx(learned["loss"], rel=1e-6)
    assert found["mae"] == pytest.approx(size.mean(), rel=1e-6)
    assert found["rmse"] == pytest.approx(np.sqrt(square.mean()), rel=1e-6)
    assert found["mape"] == pytest.approx(relative.mean(), rel=1e-6)
    assert found["r2"] == pytest.approx((1 - square / variance).mean(), rel=1e-5)
    assert found["mae"] > 1.5 * learned["mae"]


def test_quantiles_are_evaluated_in_the_unit_of_their_column(backend):
    levels = (0.1, 0.5, 0.9)
    trained, rows, predicted = trained_on(backend, "y", loss="quantile", more_metrics=("coverage@0.9",))
    found = trained.evaluate(TABLE)["y"]
    kept = ~np.isnan(TABLE["y"])
    label, weight = TABLE["y"][kept, None], TABLE["w"][kept]
    learned = rows.labels["y"][kept] <= predicted["y"][kept]
    covered = np.average(learned, axis=0, weights=weight)  # the same in either unit
    gap = label - trained.columns.restore("y", predicted["y"])[kept]
    pinball = np.average(np.where(gap > 0, gap * levels, gap * (np.array(levels) - 1)), axis=0, weights=weight)
    assert list(found) == ["pinball", "coverage_error", "coverage@0.9"]
    assert found["coverage@0.9"] == pytest.approx(covered[2])
    assert found["coverage_error"] == pytest.approx(np.abs(covered - levels).mean())
    assert found["pinball"] == pytest.approx(pinball.mean(), rel=1e-6)
