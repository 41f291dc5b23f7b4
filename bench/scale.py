"""Families of cases that grow: the vocabulary of an embedding; the number of rows, in memory or mapped from disk."""

import functools
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from backends.costs import Cost
from bench.case import CHECKED, STEPS, Case
from bench.timing import SLOW
from spec import Adam, CategoricalFeature, Dataset, ModelSpec, TaskSpec, TrainSpec, presets
from spec.training import EmbeddingUpdates

BATCH = 1024
VOCABULARIES = (10_000, 100_000, 1_000_000, 10_000_000)
DENSE_UP_TO = 1_000_000
"""The largest vocabulary that is also trained by dense updates, each of which passes over all rows of the tables."""
DRAWN_STEPS = 512
"""Steps of an epoch: enough that the rows which they name do not all stay in the processor's caches."""
ROWS = (100_000, 1_000_000, 10_000_000)
ROW_VOCABULARIES = (300, 1_000, 3_000, 10_000, 30_000, 50_000, 80_000, 100_000)
ROW_STEPS = 576
"""Steps of a call at most: nearly as many as those whose rows the training loop gathers at once."""
BLOCK = 100_000
"""Rows that are drawn and written at a time."""


def vocabulary() -> list[Case]:
    """8 numbers, a user of 10,000 to 10,000,000 ids and an item of a tenth as many, by dense and by lazy updates.

    Ids are drawn evenly, which names more different rows of a table in a step than any other law.
    """
    return [case for size in VOCABULARIES for case in _both_updates(size)]


def _both_updates(size: int) -> list[Case]:
    ways: tuple[EmbeddingUpdates, ...] = ("dense", "lazy") if size <= DENSE_UP_TO else ("lazy",)
    model = ModelSpec(
        numeric=8,
        categorical=(
            CategoricalFeature(name="user", vocabulary=size, dimension=16),
            CategoricalFeature(name="item", vocabulary=size // 10, dimension=16),
        ),
        trunk=(128, 64),
        tasks=_heads(32),
    )
    draw = functools.cache(functools.partial(presets.random_data, model, DRAWN_STEPS * BATCH))
    return [
        Case(
            name="vocabulary",
            variant=f"{size:,} ids",
            way=way,
            curve=way,
            rows_from="random rows, their ids drawn evenly",
            model=model,
            train=_training(way),
            rows=DRAWN_STEPS * BATCH,
            read=draw,
            # A dense step may take as long as a hundred lazy ones.
            steps=CHECKED if way == "dense" and size > DENSE_UP_TO // 10 else STEPS,
            reference=Case.reference if way == "lazy" else None,
            executions=quick,
            left_out=f"dense updates of more than {DENSE_UP_TO:,} ids: each step would pass over gigabytes",
        )
        for way in ways
    ]


def rows() -> list[Case]:
    """8 numbers, 8 features of 300 to 100,000 ids, and 100,000 to 10,000,000 rows, in memory and mapped from disk."""
    model = ModelSpec(
        numeric=8,
        categorical=tuple(
            CategoricalFeature(name=f"feature_{i}", vocabulary=size, dimension=8)
            for i, size in enumerate(ROW_VOCABULARIES)
        ),
        trunk=(64, 32),
        tasks=_heads(16),
    )
    return [case for count in ROWS for case in _both_places(model, RowFiles(model, count))]


def _both_places(model: ModelSpec, files: "RowFiles") -> list[Case]:
    return [
        Case(
            name="rows",
            variant=f"{files.rows:,} rows",
            way=way,
            rows_from="random rows, written to disk just before, so that the system has them in its cache of files",
            model=model,
            train=_training("lazy"),
            rows=files.rows,
            read=functools.partial(files.read, mapped=way == "mapped"),
            steps=min(files.rows // BATCH, ROW_STEPS),
            reference=None if way == "mapped" else Case.reference,
            executions=quickest,
        )
        for way in ("memory", "mapped")
    ]


def quick(costs: Mapping[str, Cost]) -> list[str]:
    """Without executions that take tens of milliseconds a step, unless there are no others."""
    return [name for name, cost in costs.items() if cost.step <= SLOW] or list(costs)


def quickest(costs: Mapping[str, Cost]) -> list[str]:
    """The execution that costs least beside the arithmetic, where reading the rows counts for most."""
    return [min(costs, key=lambda name: costs[name].step)]


def _heads(width: int) -> tuple[TaskSpec, ...]:
    return tuple(TaskSpec(name=name, kind="binary", hidden=(width,)) for name in ("click", "purchase"))


def _training(updates: EmbeddingUpdates) -> TrainSpec:
    return TrainSpec(optimizer=Adam(learning_rate=1e-3), batch_size=BATCH, seed=42, embedding_updates=updates)


class RowFiles:
    """Random rows for a model in .npy files: written when they are first read, and deleted with this object."""

    def __init__(self, model: ModelSpec, rows: int) -> None:
        self._model, self.rows = model, rows

    def read(self, *, mapped: bool) -> Dataset:
        """The rows, in memory or mapped. Raises OSError if they cannot be written or read."""

        def load(name: str) -> np.ndarray:
            array: np.ndarray = np.load(self._folder / f"{name}.npy", mmap_mode="r" if mapped else None)
            return array

        labels = {task.name: load(task.name) for task in self._model.tasks}
        return Dataset(numeric=load("numeric"), categorical=load("categorical"), labels=labels)

    @functools.cached_property
    def _folder(self) -> Path:
        """Writes a block after the other, so that it is never all rows that are in memory."""
        folder = Path(tempfile.mkdtemp(prefix="shared-bottom-rows-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for start in range(0, self.rows, BLOCK):
            block = presets.random_data(self._model, min(BLOCK, self.rows - start), seed=start)
            arrays = {"numeric": block.numeric, "categorical": block.categorical, **block.labels}
            for name, array in arrays.items():
                assert array is not None
                dtype = np.dtype(np.int32 if name == "categorical" else np.float32)
                header = {"descr": dtype.str, "fortran_order": False, "shape": (self.rows, *array.shape[1:])}
                with (folder / f"{name}.npy").open("ab") as file:
                    if start == 0:
                        np.lib.format.write_array_header_1_0(file, header)
                    file.write(array.astype(dtype).tobytes())
        return folder
