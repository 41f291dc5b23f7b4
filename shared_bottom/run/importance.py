"""How much the predictions depend on each input: the metrics when its values are permuted among the rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from spec.data import Dataset
from spec.metrics import higher_is_better

Metrics = Mapping[str, Mapping[str, float]]


class Places(NamedTuple):
    """Where the arrays of a `Dataset` have what one input column becomes."""

    numeric: Sequence[int]
    """Columns of `numeric`."""
    categorical: Sequence[int]
    """Columns of `categorical`."""


@dataclass(frozen=True, kw_only=True)
class Importances:
    """How much worse the tasks are predicted when the values of an input column are permuted among the rows.

    This is the permutation importance of Breiman ("Random Forests", Machine Learning 45, 2001), as
    `sklearn.inspection.permutation_importance` defines it. Of two columns that tell the same, neither may seem to
    matter. A column that the network does not use has 0.
    """

    rows: int
    """How many rows were permuted."""
    metrics: Mapping[str, str]
    """The main metric of each task, by task."""
    values: Mapping[str, float]
    """What it is on the rows as they are, by task."""
    drops: Mapping[str, Mapping[str, np.ndarray]]
    """By task and input column: by how much it is worse when the column is permuted, in its own unit: float64
    (repeats,). Below 0 it is better. NaN if the metric is not defined."""

    @property
    def columns(self) -> list[str]:
        """The input columns, first those that matter most, on average over the tasks, in shares of the largest drop."""
        shares: dict[str, float] = {}
        for drops in self.drops.values():
            means = {name: float(drop.mean()) for name, drop in drops.items()}
            largest = max((abs(mean) for mean in means.values() if np.isfinite(mean)), default=0.0) or 1.0
            for name, mean in means.items():
                shares[name] = shares.get(name, 0.0) + float(np.nan_to_num(mean / largest))
        return sorted(shares, key=lambda name: -shares[name])


def importances(
    rows: Dataset,
    inputs: Mapping[str, Places],
    main: Mapping[str, str],
    evaluate: Callable[[Dataset], Metrics],
    repeats: int,
    seed: int,
) -> Importances:
    """The importances of the input columns on these rows.

    inputs: where the rows have each input column, by its name.
    main: the metric of each task, by task.
    evaluate: gives the tasks' metrics on some rows.
    repeats, seed: how many permutations are drawn, which are the same for all columns, and from what: they are those
    that scikit-learn draws with random_state=seed.
    """
    orders = permutations(rows.rows, repeats, seed)
    before = evaluate(rows)
    drops: dict[str, dict[str, np.ndarray]] = {task: {name: np.empty(repeats) for name in inputs} for task in main}
    for name, places in inputs.items():
        for repeat, order in enumerate(orders):
            after = evaluate(permuted(rows, places, order))
            for task, metric in main.items():
                drop = before[task][metric] - after[task][metric]
                drops[task][name][repeat] = drop if higher_is_better(metric) else -drop
    values = {task: before[task][metric] for task, metric in main.items()}
    return Importances(rows=rows.rows, metrics=main, values=values, drops=drops)


def permutations(rows: int, repeats: int, seed: int) -> list[np.ndarray]:
    """Which row each row gets its values from: int64 (rows,) for each repetition."""
    draw = np.random.RandomState(np.random.RandomState(seed).randint(2**31))
    order, place, orders = np.arange(rows), np.arange(rows), []
    for _ in range(repeats):  # scikit-learn permutes what is permuted already, by a permutation of the one before
        draw.shuffle(order)
        place = place[order]
        orders.append(place)
    return orders


def permuted(rows: Dataset, places: Places, order: np.ndarray) -> Dataset:
    """The rows, in which an input column has the values of the rows `order` (N,)."""
    arrays = {}
    for name, columns in places._asdict().items():
        array = getattr(rows, name)
        if array is not None and len(columns):
            arrays[name] = array.copy()
            arrays[name][:, columns] = array[order][:, columns]
    return replace(rows, **arrays)
