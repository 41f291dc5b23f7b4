"""One saved state of a run as bytes: the format that docs/checkpoints.md describes field by field.

    tensors.safetensors   parameters, optimizer slots, loss curves
    checkpoint.json       everything else, the SHA-256 of the tensors included
    checkpoint.sha256     the SHA-256 of the JSON, as sha256sum writes it

No framework is needed to read it, and no code is run by reading it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.numpy import load, save

from backends.balancing import balance_names
from shared_bottom.checkpoint.checkpoint import Checkpoint
from shared_bottom.checkpoint.identity import Run
from shared_bottom.checkpoint.versions import FORMAT, from_version_1
from shared_bottom.run.record import Best
from spec.files import from_json, to_json
from spec.params import Params, frozen_parameters, parameter_shapes
from spec.results import Epoch, History
from spec.validation import Count, Width, one_line

TENSORS, MANIFEST, CHECKSUM = "tensors.safetensors", "checkpoint.json", "checkpoint.sha256"
CONFIG = ConfigDict(extra="forbid", ser_json_inf_nan="strings")


class CheckpointError(ValueError):
    """A checkpoint cannot be read: the message names the file, what was expected and what came."""


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class BestMark:
    """`Best` without its weights."""

    epoch: Width
    step: Width
    value: float


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Manifest:
    """The content of checkpoint.json."""

    format: int
    backend: str
    execution: str
    device: str
    libraries: dict[str, str]
    step: Count
    epoch: Count
    run: Run
    epochs: list[Epoch]
    best: BestMark | None
    tensors_sha256: str


def encode(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The files' content by name."""
    tensors, history, best = save(dict(_tensors(checkpoint))), checkpoint.history, checkpoint.best
    manifest = Manifest(
        format=FORMAT,
        backend=checkpoint.backend,
        execution=history.execution,
        device=history.device,
        libraries=checkpoint.libraries,
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        run=checkpoint.run,
        epochs=history.epochs,
        best=None if best is None else BestMark(epoch=best.epoch, step=best.step, value=best.value),
        tensors_sha256=hashlib.sha256(tensors).hexdigest(),
    )
    text = to_json(manifest).encode()
    return {TENSORS: tensors, MANIFEST: text, CHECKSUM: _checksum(text)}


def decode(content: Callable[[str], bytes]) -> Checkpoint:
    """The checkpoint whose files' content `content` gives by name. Raises CheckpointError."""
    text = content(MANIFEST)
    try:
        fields = json.loads(text)
        version = fields["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{MANIFEST}: expected JSON with a field format, got {len(text)} other bytes") from error
    if version not in (1, FORMAT):
        raise CheckpointError(f"{MANIFEST}: expected format version 1 or {FORMAT}, got {version!r}")
    if content(CHECKSUM) != _checksum(text):
        raise CheckpointError(f"{MANIFEST}: expected the bytes that {CHECKSUM} was made of, got others")
    try:
        manifest = from_json(Manifest, text.decode() if version == FORMAT else json.dumps(from_version_1(fields)))
    except ValueError as error:  # pydantic.ValidationError, or UnicodeDecodeError
        raise CheckpointError(f"{MANIFEST}: {one_line(error)}") from error
    if manifest.epoch != len(manifest.epochs):
        raise CheckpointError(f"{MANIFEST}: epochs: expected {manifest.epoch} entries, got {len(manifest.epochs)}")
    ends = [entry["step"] for entry in manifest.epochs]
    if ends != sorted(set(ends)) or (ends and not 0 < ends[0] <= ends[-1] <= manifest.step):
        raise CheckpointError(f"{MANIFEST}: epochs: expected steps that rise to {manifest.step} at most, got {ends}")
    raw = content(TENSORS)
    if hashlib.sha256(raw).hexdigest() != manifest.tensors_sha256:
        raise CheckpointError(f"{TENSORS}: expected the bytes that {MANIFEST} was written with, got others")
    try:
        tensors = {name: array.copy() for name, array in load(raw).items()}
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{TENSORS}: expected the safetensors format, got {one_line(error)}") from error
    _check_tensors(manifest, tensors)
    return _checkpoint(manifest, tensors)


def _tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, np.ndarray]]:
    yield from ((f"params.{name}", value) for name, value in checkpoint.params.items())
    for slot, values in checkpoint.slots.items():
        yield from ((f"slots.{slot}.{name}", value) for name, value in values.items())
    yield from ((f"balance.{name}", value) for name, value in checkpoint.balance.items())
    best = checkpoint.best
    if best is not None and best.step != checkpoint.step:
        yield from ((f"best.{name}", value) for name, value in best.params.items())
    yield "history.step_loss", np.ascontiguousarray(checkpoint.history.step_loss)
    for task, curve in checkpoint.history.task_loss.items():
        yield f"history.task_loss.{task}", np.ascontiguousarray(curve)
    if checkpoint.train.balancing.changes_weights:
        for task, curve in checkpoint.history.task_weight.items():
            yield f"history.task_weight.{task}", np.ascontiguousarray(curve)


def _groups(manifest: Manifest) -> dict[str, str]:
    """The prefixes of the tensors that are called like the parameters, by what they hold."""
    groups = {"params": "params."} | {slot: f"slots.{slot}." for slot in manifest.run.train.optimizer.slots}
    return groups | ({"best": "best."} if manifest.best and manifest.best.step != manifest.step else {})


def _names(manifest: Manifest, kind: str) -> list[str]:
    """The parameters that a group has, those of `_groups`: an optimizer has no slots for frozen ones."""
    left_out = frozen_parameters(manifest.run.model) if kind in manifest.run.train.optimizer.slots else []
    return [name for name in parameter_shapes(manifest.run.model) if name not in left_out]


def _check_tensors(manifest: Manifest, tensors: Params) -> None:
    run, curve = manifest.run, ((manifest.step,), "float64")
    shapes = parameter_shapes(run.model)
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        prefix + name: (shapes[name], run.train.precision)
        for kind, prefix in _groups(manifest).items()
        for name in _names(manifest, kind)
    }
    per_task = ((len(run.model.tasks),), str(run.train.precision))
    expected |= {f"balance.{name}": per_task for name in balance_names(run.train)}
    if run.train.balancing.changes_weights:
        expected |= {f"history.task_weight.{task.name}": curve for task in run.model.tasks}
    expected |= {"history.step_loss": curve} | {f"history.task_loss.{task.name}": curve for task in run.model.tasks}
    for name in dict.fromkeys([*expected, *tensors]):
        present = (tensors[name].shape, tensors[name].dtype.name) if name in tensors else "none"
        if present != expected.get(name, "none"):
            raise CheckpointError(f"{TENSORS}: {name}: expected {expected.get(name, 'none')}, got {present}")


def _checkpoint(manifest: Manifest, tensors: Params) -> Checkpoint:
    run, mark = manifest.run, manifest.best
    slots = run.train.optimizer.slots
    groups = {
        kind: {name: tensors[prefix + name] for name in _names(manifest, kind)}
        for kind, prefix in _groups(manifest).items()
    }
    best = None
    if mark is not None:
        params = groups.get("best", groups["params"])
        best = Best(epoch=mark.epoch, step=mark.step, value=mark.value, params=params)
    return Checkpoint(
        run=run,
        backend=manifest.backend,
        libraries=manifest.libraries,
        step=manifest.step,
        params=groups["params"],
        slots={slot: groups[slot] for slot in slots},
        balance={name: tensors[f"balance.{name}"] for name in balance_names(run.train)},
        history=History(
            execution=manifest.execution,
            device=manifest.device,
            step_loss=tensors["history.step_loss"],
            task_loss={task.name: tensors[f"history.task_loss.{task.name}"] for task in run.model.tasks},
            task_weight={
                task.name: tensors.get(f"history.task_weight.{task.name}", np.full(manifest.step, task.weight))
                for task in run.model.tasks
            },
            epochs=manifest.epochs,
            best_epoch=None if best is None else best.epoch,
        ),
        best=best,
    )


def _checksum(text: bytes) -> bytes:
    return f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode()
