"""What is timed: the cases by name, and those of a TOML file."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

from bench.case import CHECKED, STEPS, Case, random_case
from bench.results import REFERENCES
from bench.scale import rows, vocabulary
from shared_bottom.tables import census_income
from shared_bottom.tables.joined import joined
from shared_bottom.tables.rows import fit_columns, has_table, read_table_experiment, stream_rows
from spec import ModelSpec, TaskSpec, TrainSpec, presets, read_experiment

TASKS = (1, 2, 4, 8, 16, 32, 64)
BATCHES = (8, 32, 128, 512, 2048, 8192)
TABLE_ROWS = 2048
"""Rows of a table that are read at least, if it has so many. Vocabularies and means are those of all rows."""


def tutorial() -> list[Case]:
    """10 inputs, trunk 64-32-16, two regression heads, batches of 32: 320 steps."""
    data = presets.tutorial_data()
    return [
        Case(
            name="tutorial",
            rows_from="1,000 rows of standard-normal numbers",
            model=presets.tutorial_model(),
            train=presets.tutorial_training(),
            rows=data.rows,
            read=lambda: data,
            reference=REFERENCES[0],
        )
    ]


def census(data_dir: Path | None = None) -> list[Case]:
    """Census-Income: the real rows in `data_dir`, or synthetic rows with the same columns and vocabularies."""
    census_rows = census_income.load(data_dir) if data_dir else census_income.synthetic(200_000)
    return [
        Case(
            name="census",
            rows_from=f"Census-Income in {data_dir}" if data_dir else "synthetic rows like Census-Income's",
            model=presets.census_model(census_rows.vocabularies),
            train=presets.census_training(),
            rows=census_rows.train.rows,
            read=lambda: census_rows.train,
            test=census_rows.test,
            steps=64,
        )
    ]


def wide() -> list[Case]:
    """512 inputs, trunk 1024-512-256, two heads of 128, batches of 4,096: matrix products and little else."""
    return [random_case(presets.wide_model(), presets.wide_training(), name="wide", steps=4)]


def tasks() -> list[Case]:
    """The tutorial's trunk with 1 to 64 heads of the same shape, which shows how the cost grows."""

    def model(count: int) -> ModelSpec:
        heads = tuple(TaskSpec(name=f"task_{i}", kind="regression", hidden=(32,), outputs=3) for i in range(count))
        return dataclasses.replace(presets.tutorial_model(), tasks=heads)

    return [
        random_case(model(count), presets.tutorial_training(), name="tasks", variant=f"{count} task{'s'[: count > 1]}")
        for count in TASKS
    ]


def batch() -> list[Case]:
    """The tutorial's network with batches of 8 to 8,192 rows."""

    def train(size: int) -> TrainSpec:
        return dataclasses.replace(presets.tutorial_training(), batch_size=size)

    return [
        random_case(presets.tutorial_model(), train(size), name="batch", variant=f"batch {size:,}") for size in BATCHES
    ]


def from_file(path: Path) -> list[Case]:
    """The network and training of a TOML file, on its table's first rows, or on random rows if it has no table.

    Raises ValueError.
    """
    try:
        if has_table(path):
            return [_from_table(path)]
        experiment = read_experiment(path)
    except OSError as error:
        raise ValueError(f"--case: expected a file that can be read, got {str(path)!r}: {error.strerror}") from error
    return [random_case(experiment.model, experiment.train, name=path.stem, seed=experiment.train.seed)]


def _from_table(path: Path) -> Case:
    experiment, folder = read_table_experiment(path), path.parent
    train, columns = experiment.train, fit_columns(experiment, folder)
    wanted, blocks, count = max(TABLE_ROWS, STEPS * train.batch_size), [], 0
    for block in stream_rows(columns, folder, experiment.data.train, labels=True):
        blocks.append(block.take(slice(wanted - count)))
        count += blocks[-1].rows
        if count == wanted:
            break
    data = joined(blocks)
    steps = min(STEPS, train.steps_per_epoch(data.rows))
    return Case(
        name=path.stem,
        rows_from=f"the first {data.rows:,} rows of {', '.join(experiment.data.train)}",
        model=columns.model(experiment.model),
        train=train,
        rows=data.rows,
        read=lambda: data,
        steps=steps,
        checked=min(CHECKED, steps),
    )


def load_cases(name: str, data_dir: Path | None, steps: int | None = None) -> list[Case]:
    """A case, or a family of cases, by its name or by the path of a TOML file.

    steps: steps per call; if None, as many as the case says.

    Raises ValueError, and OSError if a file of Census-Income is missing.
    """
    check_case(name, data_dir)
    make_cases = functools.partial(census, data_dir) if name == "census" else CASES.get(name)
    cases = make_cases() if make_cases else from_file(Path(name))
    if steps is None:
        return cases
    longest = min(case.epoch_steps for case in cases)
    if not 1 <= steps <= longest:
        raise ValueError(f"--steps: expected 1 to {longest}, the steps of an epoch of {name}, got {steps}")
    return [dataclasses.replace(case, steps=steps, checked=min(CHECKED, steps)) for case in cases]


def check_case(name: str, data_dir: Path | None) -> None:
    """Raises a ValueError that names the option if there is no such case or no such folder."""
    if name not in CASES and not name.endswith(".toml"):
        raise ValueError(f"--case: expected one of {', '.join(CASES)} or a FILE.toml, got {name!r}")
    if data_dir is not None and name != "census":
        raise ValueError(f"--data-dir: expected none with --case {name}, only census reads it, got {str(data_dir)!r}")
    if data_dir is not None and not data_dir.is_dir():
        raise ValueError(f"--data-dir: expected a folder, got {str(data_dir)!r}")


CASES: dict[str, Callable[[], list[Case]]] = {
    "tutorial": tutorial,
    "census": census,
    "wide": wide,
    "tasks": tasks,
    "batch": batch,
    "vocabulary": vocabulary,
    "rows": rows,
}
