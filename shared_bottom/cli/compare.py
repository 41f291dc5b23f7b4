"""The command compare: shows runs side by side."""

import dataclasses
import json

from shared_bottom.cli.options import Compare
from shared_bottom.cli.printing import print_table, print_written
from shared_bottom.cli.runs import read_run
from shared_bottom.disk import check_output, check_suffix, keeping, write_whole
from shared_bottom.reports.comparison import tables, written
from spec.validation import unique

SUFFIXES = (".png", ".svg", ".html")


def compare(options: Compare) -> None:
    """Print the tables of the runs, and write the plot and the numbers if files for them are given."""
    folders = options.folders
    if not folders:
        raise ValueError("DIR: expected at least one folder of a run, got none")
    unique("DIR", map(str, folders))
    check_suffix("--out", options.out, SUFFIXES)
    for option, path in (("--out", options.out), ("--json", options.json)):
        check_output(option, path, folders)
    if options.out is not None and options.json is not None:
        check_output("--json", options.json, [options.out])
    runs = [read_run(folder) for folder in folders]
    with keeping("nothing was written, and an earlier file is as it was"):
        if options.json:
            write_whole(options.json, json.dumps([dataclasses.asdict(run) for run in runs], indent=2).encode() + b"\n")
        if options.out:
            write_whole(options.out, written(runs, options.out.suffix))
    for table in tables(runs):
        print_table(table.title, ["", *(run.name for run in runs)], table.rows)
    if len(runs) > 1 and all(run.fields == runs[0].fields for run in runs):
        print("the experiments are the same")
    print_written(options.json, options.out)
