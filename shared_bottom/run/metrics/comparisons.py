"""The metrics that compare rows with each other: all rows, or those within each group."""

from collections.abc import Callable

from sklearn.metrics import average_precision_score, roc_auc_score

from shared_bottom.run.metrics.groups import group_auc, ndcg
from shared_bottom.run.metrics.rows import NOT_DEFINED, Result, Rows


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


OF_ALL_ROWS: dict[str, Callable[[Rows, float], Result]] = {
    "auc": auc,
    "pr_auc": pr_auc,
    "group_auc": group_auc,
    "ndcg": ndcg,
}
"""By name: from all rows, and the number behind the metric's @, to its value."""
