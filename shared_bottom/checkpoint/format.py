"""One saved state of a run as files: the format that docs/checkpoints.md describes field by field.

    tensors.safetensors          parameters, optimizer slots, the history since the last full segment
    history-000000.safetensors   the loss curves of the first steps, and so on
    epochs-000000.safetensors    the records of the first epochs, and so on
    checkpoint.json              everything else, and the SHA-256 of the files above
    checkpoint.sha256            the SHA-256 of the JSON, as sha256sum writes it

No framework is needed to read it, and no code is run by reading it.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from backends.balancing import balance_names
from shared_bottom import arrays
from shared_bottom.checkpoint.checkpoint import Checkpoint
from shared_bottom.checkpoint.checks import (
    Forms,
    check_best,
    check_manifest,
    check_numbers,
    check_shapes,
    expected_arrays,
    expected_history,
    groups,
    parameter_names,
)
from shared_bottom.checkpoint.identity import Run
from shared_bottom.checkpoint.manifest import BestMark, Manifest
from shared_bottom.checkpoint.records import from_arrays
from shared_bottom.checkpoint.segments import WrittenSegments, segments_of
from shared_bottom.checkpoint.versions import FORMAT, check_version, read_manifest, record_arrays
from shared_bottom.disk import DAMAGE, write_flushed
from shared_bottom.run.record import Best
from spec.files import to_json
from spec.params import Params
from spec.reading import parse_json, read_bytes
from spec.results import History
from spec.validation import one_line

TENSORS, MANIFEST, CHECKSUM = "tensors.safetensors", "checkpoint.json", "checkpoint.sha256"


class CheckpointError(ValueError):
    """A checkpoint cannot be read: the message names the file, what was expected and what came."""


def write(folder: Path, checkpoint: Checkpoint, written: WrittenSegments) -> dict[str, str]:
    """Fills a new folder with the files; the SHA-256 of each segment by the name of its file. Raises OSError."""
    history, best = checkpoint.history, checkpoint.best
    segments, tensors = written.write(folder, checkpoint), dict(_state(checkpoint)) | written.rest(checkpoint)
    manifest = Manifest(
        format=FORMAT,
        backend=checkpoint.backend,
        execution=history.execution,
        device=history.device,
        threads=history.threads,
        libraries=checkpoint.libraries,
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        run=checkpoint.run,
        best=None if best is None else BestMark(epoch=best.epoch, step=best.step, value=best.value),
        tensors_sha256=write_flushed(folder / TENSORS, arrays.content(tensors)),
        segment_length=written.length,
        segments=segments,
    )
    text = to_json(manifest).encode()
    write_flushed(folder / MANIFEST, [text])
    write_flushed(folder / CHECKSUM, [_checksum(text)])
    return segments


def read(folder: Path) -> Checkpoint:
    """The checkpoint in a folder. Raises CheckpointError if it is damaged, OSError if the disk fails."""
    text, checksum = (_content(folder, name) for name in (MANIFEST, CHECKSUM))
    try:
        fields = parse_json(text)
        version = fields["format"]
    except (ValueError, KeyError, TypeError) as error:
        came = f"{len(text)} other bytes ({one_line(error)})"
        raise CheckpointError(f"{MANIFEST}: expected JSON with a field format, got {came}") from error
    with _errors_of(MANIFEST):
        check_version(version)
        if checksum != _checksum(text):
            raise ValueError(f"expected the bytes that {CHECKSUM} was made of, got others")
        manifest = read_manifest(fields)
        check_manifest(manifest)
        records = record_arrays(manifest)
        check_numbers(manifest.run, records)
    expected = {name: form for name, form in expected_arrays(manifest).items() if name not in records}
    tensors = _arrays(folder, TENSORS, manifest.tensors_sha256, expected, manifest.run) | records
    tensors |= _histories(folder, manifest, tensors)
    with _errors_of(MANIFEST):
        check_best(manifest, tensors)
    return _checkpoint(manifest, tensors)


def _content(folder: Path, name: str) -> bytes:
    with _errors_of(name):
        return read_bytes(folder / name)


def _arrays(folder: Path, name: str, sha256: str, expected: Forms, run: Run) -> Params:
    """The arrays of a file, checked."""
    with _errors_of(name):
        if arrays.digest(folder / name) != sha256:
            raise ValueError(f"expected the bytes that {MANIFEST} was written with, got others")
        tensors = arrays.read(folder / name)
        check_shapes(expected, tensors)
        check_numbers(run, tensors)
    return tensors


def _histories(folder: Path, manifest: Manifest, rest: Params) -> Params:
    """The arrays of the history, put together of the segments and the rest."""
    cut: dict[str, list[np.ndarray]] = {}
    for file, part, start, stop in segments_of(manifest.step, manifest.epoch, manifest.segment_length):
        expected = expected_history(manifest.run, part, stop - start)
        for name, array in _arrays(folder, file, manifest.segments[file], expected, manifest.run).items():
            cut.setdefault(name, []).append(array)
    return {name: np.concatenate([*arrays_of_name, rest[name]]) for name, arrays_of_name in cut.items()}


@contextmanager
def _errors_of(file: str) -> Iterator[None]:
    """What is wrong in the block is wrong with this file."""
    try:
        yield
    except DAMAGE as error:
        raise CheckpointError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{file}: {one_line(error)}") from error


def _state(checkpoint: Checkpoint) -> Iterator[tuple[str, np.ndarray]]:
    yield from ((f"params.{name}", value) for name, value in checkpoint.params.items())
    for slot, values in checkpoint.slots.items():
        yield from ((f"slots.{slot}.{name}", value) for name, value in values.items())
    yield from ((f"balance.{name}", value) for name, value in checkpoint.balance.items())
    best = checkpoint.best
    if best is not None and best.step != checkpoint.step:
        yield from ((f"best.{name}", value) for name, value in best.params.items())


def _checkpoint(manifest: Manifest, tensors: Params) -> Checkpoint:
    run, mark = manifest.run, manifest.best
    slots = run.train.optimizer.slots
    values = {
        kind: {name: tensors[prefix + name] for name in parameter_names(manifest, kind)}
        for kind, prefix in groups(manifest).items()
    }
    best = None
    if mark is not None:
        params = values.get("best", values["params"])
        best = Best(epoch=mark.epoch, step=mark.step, value=mark.value, params=params)
    return Checkpoint(
        run=run,
        backend=manifest.backend,
        libraries=manifest.libraries,
        step=manifest.step,
        params=values["params"],
        slots={slot: values[slot] for slot in slots},
        balance={name: tensors[f"balance.{name}"] for name in balance_names(run.train)},
        history=History(
            execution=manifest.execution,
            device=manifest.device,
            threads=manifest.threads,
            step_loss=tensors["history.step_loss"],
            task_loss={task.name: tensors[f"history.task_loss.{task.name}"] for task in run.model.tasks},
            task_weight={
                task.name: tensors.get(f"history.task_weight.{task.name}", np.broadcast_to(task.weight, manifest.step))
                for task in run.model.tasks
            },
            epochs=from_arrays(run, tensors),
            best_epoch=None if best is None else best.epoch,
        ),
        best=best,
    )


def _checksum(text: bytes) -> bytes:
    return f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode()
