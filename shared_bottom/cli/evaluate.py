"""evaluate: the metrics of a trained model on tables with labels."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shared_bottom.cli.options import Evaluate
from shared_bottom.cli.printing import Metrics, print_metrics
from shared_bottom.disk import check_output, write_whole
from shared_bottom.folder import load, read_trained
from shared_bottom.run.metrics import evaluate as metrics_of
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.rows import stream_rows
from spec.data import Dataset
from spec.model import ModelSpec
from spec.params import Params


def evaluate(options: Evaluate) -> None:
    """Predicts batch by batch; predictions and labels are kept, for a metric needs all of them."""
    check_output("--json", options.json)
    trained, backend = read_trained(options.folder), load(options.backend)
    columns, model = trained.columns, trained.model
    paths = [str(path) for path in options.data] or columns.data.test
    if not paths:
        raise ValueError("--data: expected files, since the experiment names no test files, got none")
    predictions, labels, weights = [], [], []
    for rows in stream_rows(columns, Path(), paths, labels=True):
        predictions.append(trained.predict(backend, rows, options.device))
        labels.append(rows.labels)
        weights.append(rows.sample_weight)
    counts = [len(next(iter(part.values()))) for part in labels]
    data = Dataset(
        numeric=np.empty((sum(counts), 0)),
        labels=_joined(labels),
        sample_weight=None if columns.data.weight is None else np.concatenate([w for w in weights if w is not None]),
    )
    metrics = own_metrics(columns, model, _joined(predictions), data)
    if options.json:
        finite = {
            task: {name: value if math.isfinite(value) else None for name, value in own.items()}
            for task, own in metrics.items()
        }
        write_whole(options.json, json.dumps({"rows": data.rows, "metrics": finite}, indent=2).encode() + b"\n")
    print_metrics(f"{data.rows:,} rows of {', '.join(paths)}", metrics)


def own_metrics(columns: FittedColumns, model: ModelSpec, predictions: Params, data: Dataset) -> Metrics:
    """The metrics by task, those of regression in the label columns' own units."""
    labels = own_units(columns, data.labels)
    return metrics_of(model, own_units(columns, predictions), replace(data, labels=labels))


def own_units(columns: FittedColumns, values: Mapping[str, np.ndarray]) -> Params:
    """Predictions or labels by task, those of regression in the label columns' own units."""
    return {task: columns.restore(task, value) for task, value in values.items()}


def _joined(parts: Sequence[Mapping[str, np.ndarray]]) -> Params:
    return {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}
