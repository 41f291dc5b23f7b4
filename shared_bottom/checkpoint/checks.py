"""What cannot be so in a checkpoint, whoever wrote it: shapes, numbers and entries that contradict each other.

All of it is looked at when a checkpoint is opened, so that nothing of it shows later, in the midst of a run or after
it. Every error is a ValueError of one line that names the entry.
"""

import math

import numpy as np

from backends.balancing import balance_names
from shared_bottom.arrays import pieces
from shared_bottom.checkpoint.identity import Run
from shared_bottom.checkpoint.manifest import Manifest
from shared_bottom.checkpoint.records import array_name, record_paths
from shared_bottom.checkpoint.segments import Part, segments_of
from shared_bottom.run.early_stopping import watched
from spec.params import Params, frozen_parameters, parameter_shapes

Forms = dict[str, tuple[tuple[int, ...], str]]
"""The shape and the type of arrays, by name."""
SQUARES = ("nu", "sum_of_squares")
"""The slots that squares are summed up in, so that they are never negative."""
MOST_SECONDS = 1e9
"""Of an epoch: thirty years."""


def groups(manifest: Manifest) -> dict[str, str]:
    """The prefixes of the arrays that lie like the parameters, by what they hold."""
    prefixes = {"params": "params."} | {slot: f"slots.{slot}." for slot in manifest.run.train.optimizer.slots}
    return prefixes | ({"best": "best."} if manifest.best and manifest.best.step != manifest.step else {})


def parameter_names(manifest: Manifest, kind: str) -> list[str]:
    """The parameters that an entry of `groups` has: an optimizer has no slots for frozen ones."""
    model, train = manifest.run.model, manifest.run.train
    left_out = frozen_parameters(model, train.frozen) if kind in train.optimizer.slots else []
    return [name for name in parameter_shapes(model) if name not in left_out]


def check_manifest(manifest: Manifest) -> None:
    """Raises ValueError if the steps are not such as the run has, or the epochs and the segments are not theirs."""
    train, steps = manifest.run.train, manifest.run.train.steps_per_epoch(manifest.run.rows)
    if manifest.step > train.epochs * steps:
        raise ValueError(f"step: expected at most {train.epochs * steps}, the run's steps, got {manifest.step}")
    if manifest.epoch != manifest.step // steps:
        raise ValueError(f"epoch: expected {manifest.step // steps}, of {steps} steps each, got {manifest.epoch}")
    length = manifest.segment_length
    if len(manifest.segments) != (files := manifest.step // length + manifest.epoch // length):
        raise ValueError(f"segments: expected {files} files, got {len(manifest.segments)}")
    for segment in segments_of(manifest.step, manifest.epoch, length):
        if segment.file not in manifest.segments:
            raise ValueError(f"segments.{segment.file}: expected the SHA-256 of this file, got none")


def check_best(manifest: Manifest, arrays: Params) -> None:
    """Raises ValueError if `best` is not the first of the epochs with the best value of what early stopping watches."""
    run, best, first = manifest.run, manifest.best, None
    if run.train.early_stopping is not None:
        values = arrays[array_name(["monitor"])]
        signs = 1 if watched(run.model.tasks, run.train.early_stopping).higher else -1
        ranks = np.where(np.isfinite(values), signs * values, -math.inf)
        if np.isfinite(ranks).any():
            epoch = int(ranks.argmax()) + 1
            first = (epoch, epoch * run.train.steps_per_epoch(run.rows), float(values[epoch - 1]))
    got = None if best is None else (best.epoch, best.step, best.value)
    if got != first:
        raise ValueError(f"best: expected the epoch, the step and the value {first}, got {got}")


def check_shapes(expected: Forms, arrays: Params) -> None:
    """Raises ValueError if there are other arrays than expected, or one has another shape or type."""
    for name in dict.fromkeys([*expected, *arrays]):
        present = (arrays[name].shape, arrays[name].dtype.name) if name in arrays else "none"
        if present != expected.get(name, "none"):
            raise ValueError(f"{name}: expected {expected.get(name, 'none')}, got {present}")


def expected_arrays(manifest: Manifest) -> Forms:
    """The shape and the type of each array that is in no segment, by name."""
    run, precision, shapes = manifest.run, str(manifest.run.train.precision), parameter_shapes(manifest.run.model)
    return (
        {
            prefix + name: (shapes[name], precision)
            for kind, prefix in groups(manifest).items()
            for name in parameter_names(manifest, kind)
        }
        | {f"balance.{name}": ((len(run.model.tasks),), precision) for name in balance_names(run.train)}
        | expected_history(run, "history", manifest.step % manifest.segment_length)
        | expected_history(run, "epochs", manifest.epoch % manifest.segment_length)
    )


def expected_history(run: Run, part: Part, length: int) -> Forms:
    """The shape and the type of each array of a history of `length` steps or epochs, by name."""
    if part == "epochs":
        names = [array_name(path) for path in record_paths(run)]
    else:
        tasks, curves = [task.name for task in run.model.tasks], ["task_loss"]
        curves += ["task_weight"] if run.train.balancing.changes_weights else []
        names = ["history.step_loss", *(f"history.{curve}.{task}" for curve in curves for task in tasks)]
    return dict.fromkeys(names, ((length,), "float64"))


def check_numbers(run: Run, arrays: Params) -> None:
    """Raises ValueError for numbers that training never leaves.

    They may be infinite or NaN where training goes on after divergence, and where a metric is not defined.
    """
    for name, array in arrays.items():
        kind, _, rest = name.partition(".")
        slot = rest.partition(".")[0] if kind == "slots" else rest.rpartition(".")[2] if kind == "balance" else None
        lowest, highest = (0.0 if slot in SQUARES else -math.inf), math.inf
        finite = run.train.on_divergence == "stop"
        if kind == "epochs" and rest == "seconds":
            lowest, highest, finite = 0.0, MOST_SECONDS, True
        elif kind == "epochs" and rest.startswith(("metrics.", "monitor")):
            finite = False
        for piece in pieces(array):
            wrong = (piece < lowest) | (piece > highest) | (finite & ~np.isfinite(piece))
            if wrong.any():
                limits = f" from {lowest:g} to {highest:g}" if lowest > -math.inf else ""
                expected = f"{'finite ' if finite else ''}numbers{limits}"
                raise ValueError(f"{name}: expected {expected}, got {piece[wrong][0]}")
