"""Lazy embedding updates in every execution, and with dropout, layer norm and balancing: one curve in every backend.

Others of what may be combined with them: `tests.helpers.combinations`.
"""

from dataclasses import replace

import pytest

from shared_bottom.checkpoint.folder import load_checkpoint
from spec import Fixed
from tests.helpers.backends import each_pair
from tests.helpers.checkpoints import as_of, assert_same_run, assert_same_state
from tests.helpers.lazy import BALANCINGS, BATCH, DATA, MODEL, STEPS, TRAIN, agrees, rows_of
from tests.helpers.parity import PARAMS_RTOL, both, compare_params

FEW_LAYERS = replace(MODEL, trunk=(6,), tasks=tuple(replace(task, hidden=()) for task in MODEL.tasks[:2]))
"""With all its tables. What torch.compile takes long for is the number of layers and tasks."""


@pytest.mark.parametrize("execution", ["eager", "step", "epoch"])
def test_every_execution_and_one_that_is_resumed(backend, tmp_path, monkeypatch, execution):
    """PyTorch's scan takes three steps at a time here, so that one takes up what the one before it has moved."""
    monkeypatch.setattr("backends.torch.lazy.SCANNED_ROWS", 3 * (6 * BATCH + 2 * BATCH + 3))
    whole = agrees(backend, TRAIN, tmp_path / "alone", execution, FEW_LAYERS)
    assert whole.history.execution == execution
    folder, train = as_of(tmp_path / "alone", STEPS // 3, tmp_path / "resumed"), replace(TRAIN, execution=execution)
    assert_same_run(backend.fit(FEW_LAYERS, train, rows_of(FEW_LAYERS), checkpoint=folder, resume=True), whole)
    assert_same_state(load_checkpoint(folder), load_checkpoint(tmp_path / "alone"))


@each_pair
@pytest.mark.parametrize("balancing", [Fixed(), *BALANCINGS], ids=lambda balancing: balancing.kind)
def test_the_backends_agree_on_what_the_plain_version_has_not(pair, balancing):
    model = replace(MODEL, activation="gelu", normalization="layer", dropout=0.2)
    train = replace(TRAIN, balancing=balancing)
    executions = {"torch": "eager", "jax": "epoch"}
    one, other = both(pair, model, train, DATA, steps=STEPS, **{name: executions[name] for name in pair})
    compare_params(one.params, other.params, PARAMS_RTOL)
    compare_params(one.balance, other.balance, PARAMS_RTOL)
