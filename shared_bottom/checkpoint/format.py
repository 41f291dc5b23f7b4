"""One saved state of a run as bytes: the format that docs/checkpoints.md describes field by field.

    tensors.safetensors   parameters, optimizer slots, loss curves, the records of the epochs
    checkpoint.json       everything else, the SHA-256 of the tensors included
    checkpoint.sha256     the SHA-256 of the JSON, as sha256sum writes it

No framework is needed to read it, and no code is run by reading it.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from backends.balancing import balance_names
from shared_bottom import arrays
from shared_bottom.checkpoint.checkpoint import Checkpoint
from shared_bottom.checkpoint.checks import (
    check_best,
    check_manifest,
    check_numbers,
    check_shapes,
    expected_arrays,
    groups,
    parameter_names,
)
from shared_bottom.checkpoint.manifest import BestMark, Manifest
from shared_bottom.checkpoint.records import from_arrays, to_arrays
from shared_bottom.checkpoint.versions import FORMAT, check_version, read_manifest, record_arrays
from shared_bottom.run.record import Best
from spec.files import to_json
from spec.params import Params
from spec.reading import parse_json
from spec.results import History
from spec.validation import one_line

TENSORS, MANIFEST, CHECKSUM = "tensors.safetensors", "checkpoint.json", "checkpoint.sha256"


class CheckpointError(ValueError):
    """A checkpoint cannot be read: the message names the file, what was expected and what came."""


def encode(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The files' content by name."""
    tensors, history, best = arrays.to_bytes(dict(_tensors(checkpoint))), checkpoint.history, checkpoint.best
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
        tensors_sha256=hashlib.sha256(tensors).hexdigest(),
    )
    text = to_json(manifest).encode()
    return {TENSORS: tensors, MANIFEST: text, CHECKSUM: _checksum(text)}


def decode(content: Callable[[str], bytes]) -> Checkpoint:
    """The checkpoint whose files' content `content` gives by name. Raises CheckpointError."""
    text, checksum = content(MANIFEST), content(CHECKSUM)
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
    raw = content(TENSORS)
    with _errors_of(TENSORS):
        if hashlib.sha256(raw).hexdigest() != manifest.tensors_sha256:
            raise ValueError(f"expected the bytes that {MANIFEST} was written with, got others")
        tensors = arrays.from_bytes(raw)
        expected = expected_arrays(manifest)
        check_shapes({name: expected[name] for name in expected if name not in records}, tensors)
        check_numbers(manifest.run, tensors)
    with _errors_of(MANIFEST):
        check_best(manifest, tensors | records)
    return _checkpoint(manifest, tensors | records)


@contextmanager
def _errors_of(file: str) -> Iterator[None]:
    """What is wrong in the block is wrong with this file."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{file}: {one_line(error)}") from error


def _tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, np.ndarray]]:
    yield from ((f"params.{name}", value) for name, value in checkpoint.params.items())
    for slot, values in checkpoint.slots.items():
        yield from ((f"slots.{slot}.{name}", value) for name, value in values.items())
    yield from ((f"balance.{name}", value) for name, value in checkpoint.balance.items())
    best = checkpoint.best
    if best is not None and best.step != checkpoint.step:
        yield from ((f"best.{name}", value) for name, value in best.params.items())
    yield "history.step_loss", checkpoint.history.step_loss
    for task, curve in checkpoint.history.task_loss.items():
        yield f"history.task_loss.{task}", curve
    if checkpoint.train.balancing.changes_weights:
        for task, curve in checkpoint.history.task_weight.items():
            yield f"history.task_weight.{task}", curve
    yield from to_arrays(checkpoint.run, checkpoint.history.epochs).items()


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
                task.name: tensors.get(f"history.task_weight.{task.name}", np.full(manifest.step, task.weight))
                for task in run.model.tasks
            },
            epochs=from_arrays(run, tensors),
            best_epoch=None if best is None else best.epoch,
        ),
        best=best,
    )


def _checksum(text: bytes) -> bytes:
    return f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode()
