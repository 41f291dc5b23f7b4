"""The metrics that compare rows within each group, and are means over the groups, weighted by their rows' weights.

They are scikit-learn's of each group (`roc_auc_score`, `ndcg_score`), computed for all groups at once: scikit-learn
takes a millisecond or more for a group, of which there may be millions.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from shared_bottom.run.metrics.rows import NOT_DEFINED, Result, Rows
from spec.data import in_group


class Grouped(NamedTuple):
    """n rows in the order of their groups and, within these, of their predictions."""

    label: np.ndarray
    """float64 (n,)."""
    weight: np.ndarray
    """float64 (n,)."""
    group: np.ndarray
    """(n,): numbers from 0 on, each of which occurs."""
    ties: np.ndarray
    """Where the rows begin that have one group and one prediction."""

    def sums(self, values: np.ndarray) -> np.ndarray:
        """By group, of values (n,)."""
        return np.bincount(self.group, values)


def group_auc(rows: Rows, _: float) -> Result:
    """The mean over the groups of the AUC within a group. Groups whose labels are all equal are left out."""
    return mean_over_groups(rows, auc_of_groups, "have one class")


def ndcg(rows: Rows, count: float) -> Result:
    """The mean over the groups of a group's normalized discounted cumulative gain at its `count` highest predictions.

    Järvelin & Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", ACM TOIS 2002. A row's gain is its label.
    Groups of one row, and those without a label above 0, are left out.
    """
    return mean_over_groups(
        rows, lambda grouped: ndcg_of_groups(grouped, int(count)), "have one row or no label above 0"
    )


def auc_of_groups(rows: Grouped) -> np.ndarray:
    """(groups,): the weighted share of pairs of a 1 and a 0 that are in order, ties counting half; NaN without any."""
    ones, zeros = rows.weight * (rows.label == 1), rows.weight * (rows.label == 0)
    ones_tied, zeros_tied = (np.add.reduceat(weight, rows.ties) for weight in (ones, zeros))
    group = rows.group[rows.ties]
    below = np.cumsum(zeros_tied) - zeros_tied
    below -= below[np.searchsorted(group, group)]  # within the group
    pairs = rows.sums(ones) * rows.sums(zeros)
    right = np.bincount(group, ones_tied * (below + zeros_tied / 2.0))
    return np.divide(right, pairs, out=np.full(len(pairs), NOT_DEFINED), where=pairs > 0)


def ndcg_of_groups(rows: Grouped, count: int) -> np.ndarray:
    """(groups,); NaN where there is none. Tied rows share their discounts evenly."""
    sizes = np.bincount(rows.group)
    last = np.cumsum(sizes)[rows.group] - 1
    rank = last - np.arange(len(rows.group))  # of the predictions in descending order, from 0
    discount = np.where(rank < count, 1.0 / np.log2(rank + 2.0), 0.0)
    tied = np.diff(rows.ties, append=len(rank))
    gains = np.add.reduceat(rows.label, rows.ties) * np.add.reduceat(discount, rows.ties) / tied
    best = rows.sums(rows.label[np.lexsort((rows.label, rows.group))] * discount)
    reached = np.bincount(rows.group[rows.ties], gains)
    return np.divide(reached, best, out=np.full(len(best), NOT_DEFINED), where=(best > 0) & (sizes > 1))


def mean_over_groups(rows: Rows, of_groups: Callable[[Grouped], np.ndarray], lacking: str) -> Result:
    """The mean over the groups that have a value, each weighted by the sum of its rows' weights.

    of_groups: the values (groups,), NaN where there is none.
    lacking: what groups without a value have, in words.
    """
    if rows.group is None:
        return Result(NOT_DEFINED, "the rows have no groups: neither Dataset.group nor data.group is given")
    known = in_group(rows.group)
    if not known.any():
        return Result(NOT_DEFINED, "no row is in a group")
    group = np.unique(rows.group[known], return_inverse=True)[1]
    predicted = rows.predicted[known].reshape(len(group))
    order = np.lexsort((predicted, group))
    predicted, group = predicted[order], group[order]
    new = (np.diff(predicted, prepend=np.nan) != 0) | (np.diff(group, prepend=-1) != 0)
    grouped = Grouped(
        label=rows.label[known].reshape(len(group))[order].astype(np.float64),
        weight=np.ones(len(group)) if rows.shares is None else rows.shares[known][order],
        group=group,
        ties=np.flatnonzero(new),
    )
    values = of_groups(grouped)
    there = ~np.isnan(values)
    if not there.any():
        return Result(NOT_DEFINED, f"all {len(there):,} groups {lacking}")
    left_out = int((~there).sum())
    remark = f"{left_out:,} of {len(there):,} groups {lacking} and are left out" if left_out else ""
    weights = grouped.sums(grouped.weight)
    return Result(float(np.average(values[there], weights=weights[there])), remark)
