"""The metrics on request in plain NumPy or scikit-learn, and the tasks and rows that show them."""

import numpy as np
from sklearn import metrics as judge

from spec import (
    Dataset,
    ModelSpec,
    Quantile,
    TaskSpec,
)

ROWS = 60
QUANTILE = Quantile(levels=(0.2, 0.5, 0.9))
TASKS = {
    "binary": TaskSpec(
        name="a", kind="binary", more_metrics=("pr_auc", "brier", "calibration_error", "group_auc", "ndcg@3")
    ),
    "multiclass": TaskSpec(
        name="a", kind="multiclass", outputs=5, more_metrics=("top@1", "top@2", "top@4", "macro_f1")
    ),
    "two classes": TaskSpec(name="a", kind="multiclass", outputs=2, more_metrics=("top@1", "macro_f1")),
    "regression": TaskSpec(name="a", kind="regression", outputs=2, more_metrics=("r2", "mape")),
    "quantile": TaskSpec(name="a", kind="regression", loss=QUANTILE, more_metrics=("coverage@0.2", "coverage@0.9")),
    "poisson": TaskSpec(name="a", kind="regression", loss="poisson", more_metrics=("ndcg@4", "r2")),
}


def problem(name, *, missing=True, weighted=True, seed=0):
    """The predictions and rows of a task: some without a label, some of no group, one of weight 0."""
    draw, task = np.random.default_rng(seed), TASKS[name]
    match name:
        case "binary":
            predicted, label = draw.uniform(size=ROWS).round(1), draw.integers(0, 2, ROWS).astype(float)
        case "multiclass" | "two classes":
            predicted = draw.dirichlet(np.ones(task.outputs), ROWS)
            label = draw.integers(0, max(task.outputs - 1, 2), ROWS)
        case "regression":
            predicted, label = draw.normal(size=(2, ROWS, 2))
            label[::7, 0] = 0.0
        case "quantile":
            predicted, label = draw.normal(size=(ROWS, 3)), draw.normal(size=(ROWS, 1))
        case "poisson":
            predicted, label = draw.uniform(0.1, 3.0, (ROWS, 1)), draw.poisson(1.0, (ROWS, 1)).astype(float)
    if missing:
        label[[1, 8, 40]] = task.traits.missing_label
    weight = draw.uniform(0.1, 3.0, ROWS) if weighted else None
    if weighted:
        weight[3] = 0.0
    group = np.where(np.arange(ROWS) % 11 == 0, -1, draw.integers(0, 12, ROWS))
    model = ModelSpec(numeric=1, trunk=(1,), tasks=(task,))
    data = Dataset(numeric=np.zeros((ROWS, 1)), labels={"a": label}, sample_weight=weight, group=group)
    return model, {"a": predicted}, data


def pieces(data, predictions, size):
    for start in range(0, data.rows, size):
        rows = slice(start, start + size)
        yield data.take(rows), {name: values[rows] for name, values in predictions.items()}


def counted(data, predicted):
    """Labels, predictions, weights and groups of the rows that count."""
    label, weight = data.labels["a"], np.ones(ROWS) if data.sample_weight is None else data.sample_weight
    present = ~np.isnan(label) if label.dtype.kind == "f" else label >= 0
    keep = (present.all(axis=1) if label.ndim == 2 else present) & (weight > 0)
    return label[keep], predicted[keep], weight[keep], data.group[keep]


def calibration_error(y, p, w):
    """Guo et al. (2017), eq. 3, by their words: a bin's weight, and its mean label less its mean prediction."""
    error = 0.0
    for lower in range(15):
        inside = (p > lower / 15) & (p <= (lower + 1) / 15) | ((lower == 0) & (p == 0))
        if inside.any():
            gap = np.average(y[inside], weights=w[inside]) - np.average(p[inside], weights=w[inside])
            error += w[inside].sum() / w.sum() * abs(gap)
    return error


def over_groups(g, w, value):
    """The mean of `value(rows)` over the groups that have one, by their weights."""
    members = [np.flatnonzero(g == one) for one in np.unique(g[g >= 0])]
    found = [(value(rows), w[rows].sum()) for rows in members]
    values, weights = zip(*[(v, of_group) for v, of_group in found if v is not None], strict=True)
    return np.average(values, weights=weights)


def group_auc(y, p, w, g):
    return over_groups(
        g,
        w,
        lambda r: judge.roc_auc_score(y[r], p[r], sample_weight=w[r]) if len(set(y[r])) > 1 else None,
    )


def ndcg(y, p, w, g, k):
    return over_groups(
        g,
        w,
        lambda r: judge.ndcg_score([y[r]], [p[r]], k=k) if len(r) > 1 and y[r].max() > 0 else None,
    )


def mape(y, p, w):
    errors = []
    for output in range(y.shape[1]):
        there = y[:, output] != 0
        one = judge.mean_absolute_percentage_error(y[there, output], p[there, output], sample_weight=w[there])
        errors.append(one)
    return np.mean(errors)


FORMULAS = {
    "binary": lambda y, p, w, g: {
        "auc": judge.roc_auc_score(y, p, sample_weight=w),
        "log_loss": judge.log_loss(y, p, sample_weight=w),
        "pr_auc": judge.average_precision_score(y, p, sample_weight=w),
        "brier": judge.brier_score_loss(y, p, sample_weight=w),
        "calibration_error": calibration_error(y, p, w),
        "group_auc": group_auc(y, p, w, g),
        "ndcg@3": ndcg(y, p, w, g, 3),
    },
    "multiclass": lambda y, p, w, g: {
        "accuracy": judge.accuracy_score(y, p.argmax(1), sample_weight=w),
        "log_loss": judge.log_loss(y, p, sample_weight=w, labels=range(5)),
        "top@1": judge.accuracy_score(y, p.argmax(1), sample_weight=w),
        "top@2": judge.top_k_accuracy_score(y, p, k=2, sample_weight=w, labels=range(5)),
        "top@4": judge.top_k_accuracy_score(y, p, k=4, sample_weight=w, labels=range(5)),
        "macro_f1": judge.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
    },
    "two classes": lambda y, p, w, g: {
        "accuracy": judge.accuracy_score(y, p.argmax(1), sample_weight=w),
        "log_loss": judge.log_loss(y, p, sample_weight=w, labels=range(2)),
        "top@1": judge.accuracy_score(y, p.argmax(1), sample_weight=w),
        "macro_f1": judge.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
    },
    "regression": lambda y, p, w, g: {
        "rmse": judge.mean_squared_error(y, p, sample_weight=w) ** 0.5,
        "mae": judge.mean_absolute_error(y, p, sample_weight=w),
        "r2": judge.r2_score(y, p, sample_weight=w),
        "mape": mape(y, p, w),
    },
    "quantile": lambda y, p, w, g: {
        "pinball": np.mean(
            [judge.mean_pinball_loss(y[:, 0], p[:, i], alpha=t, sample_weight=w) for i, t in enumerate((0.2, 0.5, 0.9))]
        ),
        "coverage_error": np.abs(np.average(y <= p, axis=0, weights=w) - (0.2, 0.5, 0.9)).mean(),
        "coverage@0.2": np.average(y[:, 0] <= p[:, 0], weights=w),
        "coverage@0.9": np.average(y[:, 0] <= p[:, 2], weights=w),
    },
    "poisson": lambda y, p, w, g: {
        "rmse": judge.mean_squared_error(y, p, sample_weight=w) ** 0.5,
        "mae": judge.mean_absolute_error(y, p, sample_weight=w),
        "ndcg@4": ndcg(y[:, 0], p[:, 0], w, g, 4),
        "r2": judge.r2_score(y, p, sample_weight=w),
        "loss": np.average((p - y * np.log(p))[:, 0], weights=w),
    },
}
