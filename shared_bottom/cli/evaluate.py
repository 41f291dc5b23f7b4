"""The command evaluate: computes the metrics of a trained network on tables with labels."""

import json
import math
from collections import Counter
from dataclasses import replace

from shared_bottom.cli.dialect import in_dialect
from shared_bottom.cli.options import Evaluate
from shared_bottom.cli.printing import print_metrics, print_table
from shared_bottom.cli.unknown import check_max_unknown, check_unknown, print_unknown
from shared_bottom.disk import check_output, write_whole
from shared_bottom.folder import READ_AGAIN, read_trained
from shared_bottom.predictions import metrics_in_column_units, without_inputs
from shared_bottom.run.metrics import counted
from shared_bottom.tables.rows import stream_rows
from shared_bottom.tables.sources import source_of
from shared_bottom.tables.tally import Tally, warn_of_unknown
from shared_bottom.trained import choose_backend
from spec.data import Dataset, label_present
from spec.machine import check_threads
from spec.model import ModelSpec


def evaluate(options: Evaluate) -> None:
    """Print the metrics of a run's network on the rows of tables, and write them to a file if one is given.

    The inputs are read and predicted a batch at a time. Predictions and labels of all rows are held in memory, because
    a metric such as the AUC needs all of them at once.
    """
    check_output("--json", options.json, [*options.data, *map(options.folder.joinpath, READ_AGAIN)])
    check_threads(options.threads)
    check_max_unknown(options.max_unknown)
    trained, backend = read_trained(options.folder), choose_backend(options.backend)
    trained = replace(trained, device=options.device, threads=options.threads)
    columns, model = in_dialect(trained.columns, options.dialect), trained.model
    source = source_of(options.data or columns.data.test)
    if not source.files:
        raise ValueError("--data: expected files, since the experiment names no test files, got none")
    check_output("--json", options.json, source.files)
    tally = Tally()
    data, predictions = without_inputs(
        (rows, trained.predict_encoded(backend, rows))
        for rows in stream_rows(columns, source, labels=True, tally=tally)
    )
    check_unknown(tally, options.max_unknown)
    metrics = metrics_in_column_units(columns, model, predictions, data)
    if options.json:
        finite = {  # JSON has no NaN
            task: {name: value if math.isfinite(value) else None for name, value in task_metrics.items()}
            for task, task_metrics in metrics.items()
        }
        write_whole(options.json, json.dumps({"rows": data.rows, "metrics": finite}, indent=2).encode() + b"\n")
    print_metrics(f"{data.rows:,} rows of {source.name}", metrics)
    print_left_out(model, data, tally)
    print_unknown(tally, columns)
    warn_of_unknown(tally, columns)


def print_left_out(model: ModelSpec, data: Dataset, tally: Tally) -> None:
    """Print how many rows count for each task and why others do not, unless all rows count for all tasks.

    model: the network.
    data: the labels and the weights of the rows.
    tally: what was counted in the rows.
    """
    rows = []
    for task in model.tasks:
        labelled, counting = label_present(data.labels[task.name], task).sum(), counted(task, data).sum()
        others = tally.other_classes.get(task.name, Counter()).total()
        rows.append((task.name, counting, data.rows - labelled - others, others, labelled - counting))
    if any(any(left_out) for _, _, *left_out in rows):
        names = ["task", "rows that count", "without a label", "of no class of the task", "of weight 0"]
        print_table("", names, ([name, *(f"{number:,}" for number in numbers)] for name, *numbers in rows))
