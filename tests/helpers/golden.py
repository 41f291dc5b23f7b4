"""The runs whose checkpoints lie in tests/golden, as each version of the format saved them when it was new.

The files are never made anew: every later version must still read them. A new version of the format adds a folder:

    python -m tests.helpers.golden tests/golden/version-5

Rows come from formulas and not from a random generator, whose numbers might change.
"""

import sys
import tempfile
import warnings
from pathlib import Path
from shutil import copytree
from unittest import mock

import numpy as np

from shared_bottom.checkpoint import segments
from shared_bottom.checkpoint.files import checkpoint_path
from shared_bottom.run.metrics import UndefinedMetricWarning
from spec import (
    SGD,
    Adam,
    CategoricalFeature,
    Dataset,
    EarlyStopping,
    ModelSpec,
    Schedule,
    TaskSpec,
    TrainSpec,
    load_backend,
)

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = {1: GOLDEN, 2: GOLDEN / "version-2", 3: GOLDEN / "version-3", 4: GOLDEN / "version-4"}
"""By version of the format: the folder of its runs."""


def rows(start, stop):
    n = np.arange(start, stop)
    price = np.cos(3.0 * n)
    price[n % 5 == 1] = np.nan
    return Dataset(
        numeric=np.sin(np.stack([n, 2.0 * n], axis=1)),
        categorical=(n % 3)[:, None],
        labels={"click": n % 2, "größe": price, "region": np.where(n % 7 == 2, -1, n % 3)},
        sample_weight=1.0 + n % 4,
    )


MODEL = ModelSpec(
    numeric=2,
    categorical=(CategoricalFeature(name="colour", vocabulary=3, dimension=2),),
    trunk=(3,),
    tasks=(
        TaskSpec(name="click", kind="binary"),
        TaskSpec(name="größe", kind="regression", weight=0.5),
        TaskSpec(name="region", kind="multiclass", outputs=3, hidden=(2,)),
    ),
    normalization="layer",
    dropout=0.1,
)
DATA = rows(0, 20)
VALIDATION = rows(20, 30)
ONE_CLASS = Dataset(
    numeric=VALIDATION.numeric,
    categorical=VALIDATION.categorical,
    labels=VALIDATION.labels | {"click": np.ones(10)},
    sample_weight=VALIDATION.sample_weight,
)
"""Its AUC is not defined: NaN in the JSON."""

RUNS = {
    "jax-adam": (
        TrainSpec(
            optimizer=Adam(learning_rate=0.2),
            schedule=Schedule(kind="cosine", warmup_steps=2),
            clip_norm=1.0,
            batch_size=8,
            epochs=3,
            seed=7,
            precision="float64",
            device="cpu",
            execution="epoch",
            early_stopping=EarlyStopping(monitor="größe", metric="mae", patience=9),
        ),
        ONE_CLASS,
        8,
    ),
    "torch-sgd": (
        TrainSpec(optimizer=SGD(learning_rate=0.1), batch_size=8, epochs=3, seed=7, device="cpu", execution="eager"),
        None,
        6,
    ),
}
"""By backend and optimizer: the training, its validation rows, and the step of the checkpoint, of three an epoch."""


SEGMENT = {"jax-adam": 2, "torch-sgd": 4}
"""The length of a segment, so that the few steps fill some: all of them, or all but the last two."""


def save(folder):
    """Trains the runs, and copies the checkpoint of each into `folder`."""
    warnings.simplefilter("ignore", UndefinedMetricWarning)
    for name, (train, validation, step) in RUNS.items():
        with tempfile.TemporaryDirectory() as run, mock.patch.object(segments, "LENGTH", SEGMENT[name]):
            backend = load_backend(name.partition("-")[0])
            backend.fit(MODEL, train, DATA, validation, checkpoint=run, save_every=1, keep=9)
            copytree(checkpoint_path(Path(run), step), checkpoint_path(folder / name, step))


if __name__ == "__main__":
    save(Path(sys.argv[1]))
