"""What a run of the command fit begins with: its flags say it, and the folder of a run that is resumed."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backends.base import SharedBackend
from shared_bottom.checkpoint.files import checkpoint_paths
from shared_bottom.cli.options import FitExperiment, FitFlags
from shared_bottom.cli.printing import MOST, print_table
from shared_bottom.folder import CHECKPOINTS, EXPERIMENT, MODEL, START, read_given, read_trained
from shared_bottom.run.status import status_of
from shared_bottom.start import Start, take_over
from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.embeddings import given_values, starting_params
from shared_bottom.tables.tally import listed
from shared_bottom.trained import Trained, choose_backend
from spec.backend import backend_names
from spec.model import ModelSpec
from spec.training import TrainSpec
from spec.validation import one_line, plain

WORKING_FOLDER = Path()
"""The folder that paths on the command line are relative to. Those of the experiment are absolute already."""


class Beginning(NamedTuple):
    """What a run begins with."""

    goes_on: bool
    """Whether there are checkpoints: the run starts from parameters that are saved, and needs no file of embeddings."""
    given: Mapping[str, Sequence[str]]
    """The values of given embeddings, by the name of the embedding table."""
    earlier: Trained | None
    """The run that it started from, if any; without parameters if it goes on."""


def backend_of(flags: FitFlags) -> SharedBackend:
    """The backend that the flags name, or the one that trained the run to resume last, or the first that is installed.

    Raises ValueError and ImportError as `shared_bottom.trained.choose_backend` does.
    """
    if flags.backend is None and flags.resume and (name := status_of(flags.out).backend) in backend_names():
        with suppress(ImportError):  # another backend can go on from there
            return choose_backend(name)
    return choose_backend(flags.backend)


def beginning_of(options: FitExperiment) -> Beginning:
    """What the run begins with. Raises ValueError if a file of embeddings, the folder of the run, or that of the run
    to start from is damaged, or if a resumed run began from another one.
    """
    goes_on = bool(checkpoint_paths(options.out / CHECKPOINTS))
    known = read_given(options.out) if goes_on else {}
    earlier = _earlier(options)
    if earlier is not None and goes_on:
        earlier = replace(earlier, params={})
    return Beginning(goes_on, given_values(options.experiment.data, WORKING_FOLDER, known=known), earlier)


def start_of(beginning: Beginning, columns: FittedColumns, model: ModelSpec, train: TrainSpec) -> Start | None:
    """The parameters that a run starts from, and what became of an earlier run's; None if it goes on from others.

    Raises ValueError if a file of embeddings is damaged, or another than it was.
    """
    if beginning.goes_on:
        return None
    params = starting_params(columns, model, train, WORKING_FOLDER)
    if beginning.earlier is None:
        return Start(params, (), (), ())
    return take_over(beginning.earlier, columns, model, params, beginning.given)


def print_start(earlier: Path, start: Start) -> None:
    """Print what became of each layer and embedding table of an earlier run from which one starts."""

    def counted(places: Mapping[str, int]) -> str:
        return ", ".join(f"{unit} {count:,}" for unit, count in places.items() if count)

    rows = [
        [part.name, part.state, counted(part.taken), counted(part.new), counted(part.left_out)] for part in start.parts
    ]
    if len(rows) > MOST:  # of many, those with something to say
        told = [row for row in rows if row[1:2] != ["taken over"] or row[4]]
        rows = [*told, [f"… and {len(rows) - len(told):,} more", "taken over", "", "", ""]]
    names = ["layer", "", "taken over", "as in a new run", "left out"]
    print_table(f"starts from {earlier}", names, rows, texts=2)
    for what, columns in (("enter anew", start.new_inputs), ("are left out", start.left_out_inputs)):
        if columns:
            print(plain(f"inputs that {what}: {listed(columns)}"))


def _earlier(options: FitExperiment) -> Trained | None:
    """The run to start from. That of a resumed run is kept in its folder: where it was may be nothing any more."""
    out, named = options.out, options.start_from
    if not (out / EXPERIMENT).exists():  # the run is new
        return None if named is None else _read(named)
    kept = read_trained(out / START) if (out / START).exists() else None
    if named is not None and not (kept and not (named / MODEL).exists()) and not _same(kept, _read(named)):
        began = "without one" if kept is None else f"with what is kept in {str(out / START)!r}"
        expected = f"the run that {str(out)!r} began from, or no --start-from at all, as it began {began}"
        raise ValueError(f"--start-from: expected {expected}, got {str(named)!r}")
    return kept


def _read(folder: Path) -> Trained:
    try:
        return read_trained(folder)
    except (ValueError, OSError) as error:
        raise ValueError(f"--start-from: {one_line(error)}") from error


def _same(one: Trained | None, other: Trained) -> bool:
    return (
        one is not None
        and (one.columns, one.model) == (other.columns, other.model)
        and all(np.array_equal(one.params[name], value) for name, value in other.params.items())
    )
