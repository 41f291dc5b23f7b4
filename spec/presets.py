"""Networks and training runs by name: the tutorial example, census, wide."""

from spec.data import Dataset
from spec.data import random_data as random_data
from spec.model import CategoricalFeature, ModelSpec, TaskSpec
from spec.training import Adam, Schedule, TrainSpec


def tutorial_model() -> ModelSpec:
    """The original example: 10 inputs, a shared bottom of 64-32-16, two regression tasks of 3 and 2 outputs."""
    return ModelSpec(
        numeric=10,
        trunk=(64, 32, 16),
        tasks=(
            TaskSpec(name="task_a", kind="regression", hidden=(32,), outputs=3),
            TaskSpec(name="task_b", kind="regression", hidden=(32,), outputs=2),
        ),
    )


def tutorial_training() -> TrainSpec:
    """The original example: Adam at 1e-3, batches of 32, 10 epochs."""
    return TrainSpec(optimizer=Adam(learning_rate=1e-3), batch_size=32, epochs=10, seed=42)


def tutorial_data(rows: int = 1000, *, seed: int = 42) -> Dataset:
    """Standard-normal inputs and targets, as in the original example: there is nothing to learn but the noise."""
    return random_data(tutorial_model(), rows, seed=seed)


def census_model(vocabularies: dict[str, int], *, numeric: int = 7) -> ModelSpec:
    """Census-Income (KDD) as in Ma et al., KDD 2018, group 1: income above 50,000 and never married.

    vocabularies: number of ids by categorical column, "unknown" included.
    """
    return ModelSpec(
        numeric=numeric,
        categorical=tuple(
            CategoricalFeature(name=name, vocabulary=size, dimension=8) for name, size in vocabularies.items()
        ),
        trunk=(256, 128),
        tasks=(
            TaskSpec(name="income", kind="binary", hidden=(64,)),
            TaskSpec(name="never_married", kind="binary", hidden=(64,)),
        ),
        normalization="layer",
    )


def census_training() -> TrainSpec:
    """Adam at 1e-3 falling linearly to 0, batches of 1,024, 6 epochs."""
    return TrainSpec(
        optimizer=Adam(learning_rate=1e-3), schedule=Schedule(kind="linear"), batch_size=1024, epochs=6, seed=42
    )


def wide_model() -> ModelSpec:
    """A network whose time goes into matrix products: 512 inputs, trunk 1024-512-256, two heads of 128."""
    return ModelSpec(
        numeric=512,
        trunk=(1024, 512, 256),
        tasks=(
            TaskSpec(name="rating", kind="regression", hidden=(128,)),
            TaskSpec(name="watch_time", kind="regression", hidden=(128,)),
        ),
    )


def wide_training() -> TrainSpec:
    """Adam at 1e-3, batches of 4,096, one epoch."""
    return TrainSpec(optimizer=Adam(learning_rate=1e-3), batch_size=4096, epochs=1, seed=42)
