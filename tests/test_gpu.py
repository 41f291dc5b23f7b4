"""On a GPU the curves are those of the CPU, in every execution and for each way of sharing."""

import numpy as np
import pytest

from spec import (
    PLE,
    Adam,
    AdamW,
    GradNorm,
    LogLoss,
    MMoE,
    PCGrad,
    Separate,
    SharedBottom,
    TaskSpec,
    TrainSpec,
    UncertaintyWeighting,
    load_backend,
)
from tests.conftest import installed
from tests.helpers.parity import LISTS, RTOL, compare_curves, compare_params, example_data, example_model

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

LOSSES = (
    TaskSpec(name="click", kind="binary", hidden=(6,)),
    TaskSpec(name="span", kind="regression", hidden=(6,), outputs=2, loss="huber"),
    TaskSpec(name="buy", kind="binary", hidden=(6,), given="click"),
    TaskSpec(name="like", kind="binary", loss=LogLoss(positive_weight=3.0, label_smoothing=0.1, focal_gamma=2.0)),
    TaskSpec(name="wait", kind="regression", loss="quantile"),
    TaskSpec(name="visits", kind="regression", loss="poisson"),
    TaskSpec(name="spend", kind="regression", hidden=(4,), loss="zero_inflated_lognormal"),
)
CASES = {
    "shared_bottom, uncertainty, dropout, lazy": (
        example_model(categorical=LISTS, normalization="layer", dropout=0.2),
        {"balancing": UncertaintyWeighting(), "embedding_updates": "lazy", "optimizer": Adam(learning_rate=1e-2)},
    ),
    "separate": (example_model(sharing=Separate()), {"optimizer": AdamW(learning_rate=1e-2)}),
    "mmoe, losses, gradnorm": (
        example_model(sharing=MMoE(experts=3), tasks=LOSSES, normalization="layer"),
        {"balancing": GradNorm()},
    ),
    "ple, pcgrad, dropout": (
        example_model(sharing=PLE(levels=2), dropout=0.3),
        {"balancing": PCGrad(), "clip_norm": 1.0},
    ),
}


def on(device, name, case, **changes):
    backend, (model, fields) = load_backend(name), CASES[case]
    train = TrainSpec(precision="float64", batch_size=16, epochs=4, device=device, **{**fields, **changes})
    data = example_data(model, 100, missing=True, weighted=True)
    fitted = backend.fit(model, train, data)
    assert fitted.history.device == device
    return fitted, backend.predict(model, fitted.params, data, device=device)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("name", "execution"),
    [("torch", "eager"), ("torch", "step"), ("torch", "epoch"), ("jax", "step"), ("jax", "epoch")],
)
def test_a_gpu_draws_the_curve_of_the_cpu(name, execution, case):
    if not installed(name).has_gpu():
        pytest.skip(f"{name} sees no GPU here")
    if (name, execution) == ("jax", "eager"):
        pytest.skip("JAX without jit takes seconds a step on a GPU")
    gpu, predicted = on("gpu", name, case, execution=execution)
    cpu, expected = on("cpu", name, case, execution="eager" if name == "torch" else "epoch")
    compare_curves(gpu.history, cpu.history, RTOL)
    compare_params(gpu.params, cpu.params, 1e-8)
    for task, values in expected.items():
        np.testing.assert_allclose(predicted[task], values, rtol=1e-7, atol=1e-9)


def test_it_takes_the_gpu_by_itself():
    found = [name for name in ("jax", "torch") if installed(name).has_gpu()]
    if not found:
        pytest.skip("no backend sees a GPU here")
    model = example_model(sharing=SharedBottom())
    for name in found:
        fitted = load_backend(name).fit(model, TrainSpec(epochs=1), example_data(model, 40))
        assert fitted.history.device == "gpu"
