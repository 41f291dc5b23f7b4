"""Which columns of a table a trained network makes use of, for each task."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from shared_bottom.predictions import evaluation_in_column_units
from shared_bottom.run.importance import Importances, Places, importances
from shared_bottom.run.metrics import UndefinedMetricWarning
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.joined import joined
from shared_bottom.tables.rows import stream_rows
from shared_bottom.tables.sources import Rows
from shared_bottom.trained import Trained
from spec.data import Dataset

REPEATS, PERMUTED_ROWS = 5, 10_000
"""How often a column is permuted, and the largest number of rows, if the caller does not say."""


def permutation_importance(
    trained: Trained, rows: Rows, *, repeats: int = REPEATS, seed: int = 0, most: int = PERMUTED_ROWS
) -> Importances:
    """By how much each task's main metric is worse when the values of an input column are permuted among the rows.

    trained: the network and the columns of its table.
    rows: as for `Trained.evaluate`, with their labels; best such that the network was not trained on.
    repeats: how often each column is permuted.
    seed: what the permutations, and the rows if they are more than `most`, are drawn from.
    most: of more rows, so many are drawn, each with the same probability, while they are read: no more are in memory.

    A column is permuted as a whole: a number with the indicator that it is missing and with its bins, a list with all
    its values, a time with all its parts. Metrics are in the units of the label columns, as for `Trained.evaluate`.
    Raises ValueError as `evaluate` does, or if an argument is no whole number of 1 or more (0 or more for the seed).
    """
    check_permutations(repeats, seed, most)
    return importances_on(trained, sample(stream_rows(trained.columns, rows, labels=True), most, seed), repeats, seed)


def check_permutations(repeats: Any, seed: Any, most: Any = PERMUTED_ROWS) -> None:
    """Raises ValueError for an argument of `permutation_importance` that is no such number."""
    highest = 2**32 - 1  # of a seed of NumPy's
    for name, value, least in (("repeats", repeats, 1), ("seed", seed, 0), ("most", most, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= highest:
            raise ValueError(f"{name}: expected an integer from {least} to {highest}, got {value!r}")


def importances_on(trained: Trained, rows: Dataset, repeats: int = REPEATS, seed: int = 0) -> Importances:
    """What `permutation_importance` gives for encoded rows with their labels, all of which are permuted."""

    def evaluate(some: Dataset) -> dict[str, dict[str, float]]:
        predicted = trained.predictor.predict(some.inputs)
        with warnings.catch_warnings():  # the importances are NaN
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return evaluation_in_column_units(trained.columns, trained.model, [(some, predicted)]).metrics()

    main = {task.name: task.metrics[0] for task in trained.model.tasks}
    return importances(rows, input_places(trained.columns), main, evaluate, repeats, seed)


def sample(batches: Iterable[Dataset], most: int, seed: int = 0) -> Dataset:
    """The rows of all batches, or so many of them in their order, each with the same probability."""
    draw, keys = np.random.default_rng(seed), np.empty(0)
    kept: Dataset | None = None
    for batch in batches:
        keys = np.append(keys, draw.random(batch.rows))  # those of the smallest keys stay
        kept = batch if kept is None else joined([kept, batch])
        if kept.rows > most:
            chosen = np.sort(np.argpartition(keys, most - 1)[:most])
            kept, keys = kept.take(chosen), keys[chosen]
    assert kept is not None  # there is at least one batch
    return kept


def input_places(columns: FittedColumns) -> dict[str, Places]:
    """Where encoded rows have each input column, by its name: see `FittedColumns.model`."""
    data = columns.data
    places = {name: Places([], []) for name in data.inputs}
    time_of_part = {part: time.name for time in data.time for part in (*time.numeric_parts, *time.categorical_parts)}
    widths = [(name, columns.width(name)) for name in data.numeric_inputs] + [(name, 1) for name in columns.indicators]
    lengths = [(column.name, column.length) for column in data.categorical]
    lengths += [(part, 1) for time in data.time for part in time.categorical_parts]
    for array, parts in (("numeric", widths), ("categorical", lengths)):
        start = 0
        for name, width in parts:
            getattr(places[time_of_part.get(name, name)], array).extend(range(start, start + width))
            start += width
    return places
