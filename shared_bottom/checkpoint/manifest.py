"""The content of checkpoint.json."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from shared_bottom.checkpoint.identity import Run
from spec.validation import Count, Finite, Width

CONFIG = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class BestMark:
    """`Best` without its weights."""

    epoch: Width
    step: Width
    value: Finite


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Manifest:
    """All of a checkpoint that is no array."""

    format: int
    backend: str
    execution: Annotated[str, Field(pattern="^(eager|step|epoch)$")]
    device: Annotated[str, Field(pattern="^(cpu|gpu)$")]
    threads: Width | None = None
    libraries: dict[str, str]
    step: Width
    epoch: Count
    run: Run
    best: BestMark | None
    tensors_sha256: str
    segment_length: Width
    """Steps, or epochs, of which a segment of the history has the numbers."""
    segments: dict[str, str]
    """The SHA-256 of each, by the name of its file."""
