"""Input that does not fit is rejected by the field's name before any work is done."""

import re
from dataclasses import replace

import numpy as np
import pytest

from spec import CategoricalFeature, Dataset, ModelSpec, TaskSpec, TrainSpec, initial_params, presets

MODEL = ModelSpec(
    numeric=2,
    categorical=(CategoricalFeature(name="colour", vocabulary=3, dimension=2),),
    trunk=(3,),
    tasks=(TaskSpec(name="click", kind="binary"), TaskSpec(name="region", kind="multiclass", outputs=4)),
)
DATA = Dataset(
    numeric=np.zeros((4, 2)),
    categorical=np.array([[0], [1], [2], [0]]),
    labels={"click": np.array([0.0, 1.0, np.nan, 1.0]), "region": np.array([0, 3, -1, 2])},
)
PARAMS = initial_params(MODEL)
TRAIN = TrainSpec(batch_size=2, epochs=1, device="cpu", execution="eager")

BAD_ROWS = {
    "numeric width": (replace(DATA, numeric=np.zeros((4, 3))), r"^numeric: expected shape \(4, 2\), got \(4, 3\)"),
    "numeric nan": (replace(DATA, numeric=np.full((4, 2), np.nan)), r"^numeric: expected finite values, got nan"),
    "numeric none": (replace(DATA, numeric=None), r"^numeric: expected an array of shape \(4, 2\), got none"),
    "id": (replace(DATA, categorical=np.full((4, 1), 3)), r"^categorical: expected ids in \[0, 3\).*colour.*got 3"),
    "weight": (
        replace(DATA, sample_weight=-np.ones(4)),
        r"^sample_weight: expected finite values of 0 or more, got -1",
    ),
    "nothing": (Dataset(), r"^data: expected a numeric or a categorical array of rows, got neither"),
    "empty": (DATA.take(slice(0)), r"^data: expected at least one row, got 0"),
}
BAD_LABELS = {
    "no labels": (replace(DATA, labels={}), r"^labels: expected an array for task 'click', got none"),
    "one task's": (
        replace(DATA, labels={"click": DATA.labels["click"]}),
        r"^labels: expected an array for task 'region', got none",
    ),
    "another kind": (
        replace(DATA, labels=DATA.labels | {"click": np.full(4, 2.0)}),
        r"^labels\['click'\]: expected 0, 1, or NaN for missing, got 2\.0 in row 0",
    ),
    "another task": (
        replace(DATA, labels=DATA.labels | {"clock": np.zeros(4)}),
        r"^labels: expected tasks among click, region, got 'clock'",
    ),
    "too few": (
        replace(DATA, labels=DATA.labels | {"click": np.zeros(3)}),
        r"^labels\['click'\]: expected shape \(4,\), got \(3,\)",
    ),
}
BAD_PARAMS = {
    "missing": (
        {name: value for name, value in PARAMS.items() if name != "trunk.0.bias"},
        r"^params: expected an entry 'trunk\.0\.bias' of shape \(3,\), got none",
    ),
    "extra": (PARAMS | {"trunk.1.bias": np.zeros(3, np.float32)}, r"^params: expected no entry 'trunk\.1\.bias'"),
    "transposed": (
        PARAMS | {"trunk.0.kernel": PARAMS["trunk.0.kernel"].T},
        r"^params\['trunk\.0\.kernel'\]: expected shape \(4, 3\), got \(3, 4\)",
    ),
    "same size": (
        PARAMS | {"trunk.0.bias": PARAMS["trunk.0.bias"][None]},
        r"^params\['trunk\.0\.bias'\]: expected shape \(3,\), got \(1, 3\)",
    ),
    "mixed": (
        PARAMS | {"trunk.0.bias": PARAMS["trunk.0.bias"].astype(np.float64)},
        r"^params\['trunk\.0\.bias'\]: expected all of dtype float32 or all of float64, got float64",
    ),
    "integers": (
        {name: value.astype(int) for name, value in PARAMS.items()},
        r"^params\['embeddings\.colour'\]: expected all of dtype float32 or all of float64, got int64",
    ),
}


def cases(table):
    return pytest.mark.parametrize(("bad", "message"), table.values(), ids=table)


@pytest.fixture
def idle(backend, monkeypatch):
    """The backend, with its work forbidden."""

    def work(*args, **fields):
        raise AssertionError("the input should have been rejected before this")

    for name in ("trainer", "loss_and_gradient"):
        monkeypatch.setattr(backend, name, work)
    monkeypatch.setattr(backend, "forward", lambda *_: work)
    return backend


def test_what_fits_gets_to_work(idle):
    for ask in (
        lambda: idle.fit(MODEL, TRAIN, DATA, DATA, PARAMS),
        lambda: idle.predict(MODEL, PARAMS, replace(DATA, labels={})),
        lambda: idle.gradients(MODEL, PARAMS, DATA),
    ):
        with pytest.raises(AssertionError, match="before this"):
            ask()


@cases(BAD_ROWS | BAD_LABELS)
def test_data(idle, bad, message):
    with pytest.raises(ValueError, match=message):
        idle.fit(MODEL, TRAIN, bad)
    with pytest.raises(ValueError, match=message):
        idle.gradients(MODEL, PARAMS, bad)


@cases(BAD_ROWS | BAD_LABELS)
def test_validation(idle, bad, message):
    with pytest.raises(ValueError, match=message):
        idle.fit(MODEL, TRAIN, DATA, validation=bad)


@cases(BAD_ROWS | {name: BAD_LABELS[name] for name in ("another kind", "another task", "too few")})
def test_data_to_predict(idle, bad, message):
    with pytest.raises(ValueError, match=message):
        idle.predict(MODEL, PARAMS, bad)


@cases(BAD_PARAMS)
def test_params(idle, bad, message):
    for ask in (
        lambda: idle.fit(MODEL, TRAIN, DATA, params=bad),
        lambda: idle.predict(MODEL, bad, DATA),
        lambda: idle.gradients(MODEL, bad, DATA),
        lambda: idle.build(MODEL, bad),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


@pytest.mark.parametrize("device", ["cuda", "tpu", None])
def test_an_unknown_device_is_rejected_and_the_valid_ones_listed(backend, device):
    model = presets.tutorial_model()
    with pytest.raises(ValueError, match=rf"device: expected one of auto, cpu, gpu, got {device!r}"):
        backend.build(model, initial_params(model), device=device)


@pytest.mark.parametrize("field", ["numeric", "labels['task_a']"])
def test_a_value_too_large_for_the_precision_is_rejected(backend, field):
    data = presets.tutorial_data(40)
    (data.numeric if field == "numeric" else data.labels["task_a"])[7, 2] = 1e300
    train = presets.tutorial_training()
    with pytest.raises(
        ValueError,
        match=rf"{re.escape(field)}: expected (finite )?values that fit float32.*, got 1e\+300 in (column 2, )?row 7",
    ):
        backend.fit(presets.tutorial_model(), train, data)
