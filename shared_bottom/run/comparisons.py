"""The metrics that compare rows with each other: all rows, or those within each group."""

from collections.abc import Callable

import numpy as np
from sklearn import config_context
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from shared_bottom.run.rows import NOT_DEFINED, Result, Rows
from spec.data import in_group


def auc(rows: Rows, _: float) -> Result:
    """The area under the receiver operating characteristic."""
    if (rows.label == rows.label[0]).all():
        return Result(NOT_DEFINED, f"all {len(rows.label)} labels are {rows.label[0]:g}")
    return Result(float(roc_auc_score(rows.label, rows.predicted, sample_weight=rows.shares)))


def pr_auc(rows: Rows, _: float) -> Result:
    """The average precision, which is the area under the curve of precision by recall, in steps."""
    if not (rows.label == 1).any():
        return Result(NOT_DEFINED, f"all {len(rows.label)} labels are 0")
    return Result(float(average_precision_score(rows.label, rows.predicted, sample_weight=rows.shares)))


def group_auc(rows: Rows, _: float) -> Result:
    """The mean over the groups of the AUC within a group. Groups whose labels are all equal are left out."""

    def comparable(label: np.ndarray) -> bool:
        return bool((label != label[0]).any())

    def of_group(label: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None) -> float:
        return float(roc_auc_score(label, predicted, sample_weight=weight))

    return mean_over_groups(rows, comparable, "have one class", of_group)


def ndcg(rows: Rows, count: float) -> Result:
    """The mean over the groups of a group's normalized discounted cumulative gain at its `count` highest predictions.

    Järvelin & Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", ACM TOIS 2002. A row's gain is its label.
    Groups of one row, and those without a label above 0, are left out.
    """

    def comparable(label: np.ndarray) -> bool:
        return len(label) > 1 and bool((label > 0).any())

    def of_group(label: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None) -> float:
        return float(ndcg_score(label[None], predicted[None], k=int(count)))

    return mean_over_groups(rows, comparable, "have one row or no label above 0", of_group)


def mean_over_groups(
    rows: Rows,
    comparable: Callable[[np.ndarray], bool],
    lacking: str,
    of_group: Callable[[np.ndarray, np.ndarray, np.ndarray | None], float],
) -> Result:
    """The mean over the groups, each weighted by the sum of its rows' weights.

    comparable: whether a group with these labels (n,) has a value. lacking: what groups without one have, in words.
    of_group: the value of a group's labels, predictions and weights (n,).
    """
    if rows.group is None:
        return Result(NOT_DEFINED, "the rows have no groups: neither Dataset.group nor data.group is given")
    known = in_group(rows.group)
    ids, group = np.unique(rows.group[known], return_inverse=True)
    order = np.argsort(group, kind="stable")
    label, predicted = (array[known].reshape(len(group))[order] for array in (rows.label, rows.predicted))
    weight = None if rows.shares is None else rows.shares[known][order]
    sizes = np.bincount(group, minlength=len(ids))
    ends = np.cumsum(sizes)
    values, weights = [], []
    with config_context(assume_finite=True, skip_parameter_validation=True):  # the checks take most of the time
        for start, end in zip(ends - sizes, ends, strict=True):
            part = slice(start, end)
            if comparable(label[part]):
                values.append(of_group(label[part], predicted[part], None if weight is None else weight[part]))
                weights.append(float(end - start) if weight is None else float(weight[part].sum()))
    if not values:
        return Result(NOT_DEFINED, f"all {len(ids):,} groups {lacking}" if len(ids) else "no row is in a group")
    left_out = len(ids) - len(values)
    remark = f"{left_out:,} of {len(ids):,} groups {lacking} and are left out" if left_out else ""
    return Result(float(np.average(values, weights=weights)), remark)


OF_ALL_ROWS: dict[str, Callable[[Rows, float], Result]] = {
    "auc": auc,
    "pr_auc": pr_auc,
    "group_auc": group_auc,
    "ndcg": ndcg,
}
"""By name: from all rows, and the number behind the metric's @, to its value."""
