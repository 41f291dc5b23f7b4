"""The command evaluate: computes the metrics of a trained network on tables with labels."""

import json
import math

from shared_bottom.cli.options import Evaluate
from shared_bottom.cli.printing import print_metrics
from shared_bottom.disk import check_output, write_whole
from shared_bottom.folder import read_trained
from shared_bottom.predictions import metrics_in_column_units, without_inputs
from shared_bottom.tables.rows import stream_rows
from shared_bottom.trained import choose_backend


def evaluate(options: Evaluate) -> None:
    """Print the metrics of a run's network on the rows of tables, and write them to a file if one is given.

    The inputs are read and predicted a batch at a time. Predictions and labels of all rows are held in memory, because
    a metric such as the AUC needs all of them at once.
    """
    check_output("--json", options.json)
    trained, backend = read_trained(options.folder), choose_backend(options.backend)
    columns, model = trained.columns, trained.model
    paths = [str(path) for path in options.data] or columns.data.test
    if not paths:
        raise ValueError("--data: expected files, since the experiment names no test files, got none")
    data, predictions = without_inputs(
        (rows, trained.predict_encoded(backend, rows, options.device))
        for rows in stream_rows(columns, paths, labels=True)
    )
    metrics = metrics_in_column_units(columns, model, predictions, data)
    if options.json:
        finite = {  # JSON has no NaN
            task: {name: value if math.isfinite(value) else None for name, value in task_metrics.items()}
            for task, task_metrics in metrics.items()
        }
        write_whole(options.json, json.dumps({"rows": data.rows, "metrics": finite}, indent=2).encode() + b"\n")
    print_metrics(f"{data.rows:,} rows of {', '.join(paths)}", metrics)
