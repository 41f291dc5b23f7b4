"""PyTorch's compiled epoch draws the same loss curve with all layers and tasks of the examples.

In one process and one after the other: what the second has otherwise must not become less exact in it.
"""

from dataclasses import replace

import pytest

from spec import AdamW, ModelSpec, RMSprop, Schedule, TrainSpec
from tests.helpers.combinations import STEPS
from tests.helpers.parity import (
    PARAMS_RTOL,
    WITHIN,
    both,
    compare_curves,
    compare_params,
    example_data,
    example_model,
    fit,
)

CASES: dict[str, tuple[ModelSpec, TrainSpec, dict]] = {
    "tied": (
        example_model("tied", activation="gelu", normalization="layer", dropout=0.3),
        TrainSpec(optimizer=AdamW(learning_rate=3e-3), schedule=Schedule(kind="linear", warmup_steps=5), clip_norm=1.0),
        {"missing": True, "weighted": True},
    ),
    "untied": (
        example_model("untied", activation="silu", dropout=0.5),
        TrainSpec(optimizer=RMSprop(learning_rate=1e-3, momentum=0.5, weight_decay=1e-3)),
        {"missing": True},
    ),
}


@pytest.mark.parametrize("kinds", CASES)
def test_torch_compiled(kinds):
    model, train, labels = CASES[kinds]
    train = replace(train, batch_size=16, epochs=20, seed=8, precision="float64")
    data = example_data(model, 250, **labels)
    one, other = both(("torch", "jax"), model, train, data, torch="epoch", steps=STEPS)
    compare_params(one.params, other.params, PARAMS_RTOL)
    compare_curves(fit("torch", model, train, data, execution="eager").history, one.history, WITHIN)
