"""What each metric is, by its name, in one table."""

HIGHER_IS_BETTER: dict[str, bool | None] = {
    "auc": True,
    "pr_auc": True,
    "group_auc": True,
    "ndcg": True,
    "accuracy": True,
    "top": True,
    "macro_f1": True,
    "r2": True,
    "log_loss": False,
    "brier": False,
    "calibration_error": False,
    "rmse": False,
    "mae": False,
    "mape": False,
    "pinball": False,
    "coverage_error": False,
    "coverage": None,
    "loss": False,
}
"""By the name of a metric, without what stands behind an @; None: neither is better, as a share should be its level.
`shared_bottom.run.metrics.functions` computes them."""

GROUPED = frozenset({"group_auc", "ndcg"})
"""The metrics that are means over groups of rows, so that the rows need a group each."""


def split_metric(metric: str) -> tuple[str, float]:
    """A metric's name without the number behind its @, and this number: 10 for ndcg@10, 0 where there is none."""
    name, _, number = metric.partition("@")
    return name, float(number or 0)


def higher_is_better(metric: str) -> bool | None:
    """Whether a higher value of the metric, such as auc or ndcg@10, is better; None: neither is."""
    return HIGHER_IS_BETTER[split_metric(metric)[0]]
