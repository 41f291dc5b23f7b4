"""The command evaluate: computes the metrics of a trained network on tables with labels."""

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

from shared_bottom.cli.dialect import in_dialect
from shared_bottom.cli.importance import importance_json, print_importance, write_plot
from shared_bottom.cli.options import Evaluate
from shared_bottom.cli.printing import print_metrics, print_table, print_written
from shared_bottom.cli.unknown import check_max_unknown, check_unknown, print_unknown
from shared_bottom.disk import check_output, check_suffix, write_whole
from shared_bottom.folder import READ_AGAIN, read_trained
from shared_bottom.importance import check_permutations, permutation_importance
from shared_bottom.run.metrics import Evaluation
from shared_bottom.tables.sources import source_of
from shared_bottom.tables.tally import Tally, warn_of_unknown
from shared_bottom.trained import choose_backend
from spec.machine import check_threads


def evaluate(options: Evaluate) -> None:
    """Print the metrics of a run's network on the rows of tables, and write them to a file if one is given.

    The rows are read, predicted and evaluated a batch at a time.
    """
    outputs = {"--json": options.json, "--plot": options.plot}
    check_plot(options)
    check_permutations(options.repeats, options.seed)
    for option, path in outputs.items():
        check_output(option, path, [*options.data, *map(options.folder.joinpath, READ_AGAIN)])
    check_threads(options.threads)
    check_max_unknown(options.max_unknown)
    trained, backend = read_trained(options.folder), choose_backend(options.backend)
    columns = in_dialect(trained.columns, options.dialect)
    trained = replace(trained, columns=columns, backend=backend.name, device=options.device, threads=options.threads)
    source = source_of(options.data or columns.data.test)
    if not source.files:
        raise ValueError("--data: expected files, since the experiment names no test files, got none")
    for option, path in outputs.items():
        check_output(option, path, source.files)
    tally = Tally()
    evaluation = trained.evaluation(source, tally)
    check_unknown(tally, options.max_unknown)
    metrics = evaluation.metrics()
    importances = None
    if options.importance:
        importances = permutation_importance(trained, source, repeats=options.repeats, seed=options.seed)
    if options.json:
        finite = {  # JSON has no NaN
            task: {name: value if math.isfinite(value) else None for name, value in task_metrics.items()}
            for task, task_metrics in metrics.items()
        }
        content: dict[str, Any] = {"rows": evaluation.rows, "metrics": finite}
        if importances:
            content["importance"] = importance_json(importances)
        write_whole(options.json, json.dumps(content, indent=2).encode() + b"\n")
    if options.plot and importances:
        write_plot(options.plot, importances)
    print_metrics(f"{evaluation.rows:,} rows of {source.name}", metrics)
    print_left_out(evaluation, tally)
    print_unknown(tally, columns)
    if importances:
        print_importance(importances)
    print_written(*outputs.values())
    warn_of_unknown(tally, columns)


def check_plot(options: Evaluate) -> None:
    """Raise ValueError, naming the flag, if the plot is none that can be drawn."""
    if options.plot is not None and not options.importance:
        raise ValueError("--plot: expected --importance with it, got none")
    check_suffix("--plot", options.plot, (".png", ".svg"))


def print_left_out(evaluation: Evaluation, tally: Tally) -> None:
    """Print how many rows count for each task and why others do not, unless all rows count for all tasks.

    evaluation: the rows that were evaluated.
    tally: what was counted in the rows.
    """
    rows = []
    for task, metrics in evaluation.tasks.items():
        labelled, others = evaluation.labelled[task], tally.other_classes.get(task, Counter()).total()
        rows.append((task, metrics.rows, evaluation.rows - labelled - others, others, labelled - metrics.rows))
    if any(any(left_out) for _, _, *left_out in rows):
        names = ["task", "rows that count", "without a label", "of no class of the task", "of weight 0"]
        print_table("", names, ([name, *(f"{number:,}" for number in numbers)] for name, *numbers in rows))
