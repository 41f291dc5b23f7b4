"""One checkpoint on the disk: a folder step-00000320/ with the files of the format.

It is there whole or not at all: see `shared_bottom.disk`.
"""

from pathlib import Path

from shared_bottom.checkpoint.checkpoint import Checkpoint
from shared_bottom.checkpoint.format import MANIFEST, CheckpointError, read, write
from shared_bottom.checkpoint.segments import WrittenSegments
from shared_bottom.disk import whole_folder
from spec.reading import parse_json, read_bytes


def write_checkpoint(path: Path, checkpoint: Checkpoint, written: WrittenSegments) -> None:
    """Writes the folder `path`. Raises OSError, as `whole_folder` does.

    written: the run's segments so far; those that are new are added.
    """
    with whole_folder(path) as folder:
        segments = write(folder, checkpoint, written)
    written.are_in(path, segments)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the folder `path`. Raises CheckpointError if it is damaged, OSError if the disk fails."""
    try:
        checkpoint = read(path)
        if is_checkpoint(path) and step_of(path) != checkpoint.step:
            raise CheckpointError(
                f"{MANIFEST}: step: expected {step_of(path)}, as the folder is named, got {checkpoint.step}"
            )
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return checkpoint


def read_best(path: Path) -> Path | None:
    """The folder of the checkpoint that the one in `path` names as its best; None if it names none, or is damaged."""
    try:
        best = parse_json(read_bytes(path / MANIFEST))["best"]
        return None if best is None else checkpoint_path(path.parent, best["step"])
    except (OSError, ValueError, KeyError, TypeError):  # a damaged one holds on to nothing
        return None


def read_segments(path: Path, length: int) -> dict[str, str]:
    """The SHA-256 of the segments of a checkpoint that was read; none if they are of another length."""
    fields = parse_json(read_bytes(path / MANIFEST))
    return dict(fields["segments"]) if fields.get("segment_length") == length else {}


def checkpoint_paths(folder: Path) -> list[Path]:
    """The folders step-<steps> in `folder`, oldest first."""
    return sorted(filter(is_checkpoint, folder.glob("step-*")), key=step_of)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the state after `step` steps is saved."""
    return folder / f"step-{step:08d}"


def is_checkpoint(path: Path) -> bool:
    """Whether the folder has the name of a checkpoint."""
    return path.name.startswith("step-") and path.name.removeprefix("step-").isdecimal()


def step_of(path: Path) -> int:
    """The steps in a checkpoint's name."""
    return int(path.name.removeprefix("step-"))
