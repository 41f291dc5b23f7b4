"""The versions of the format of a checkpoint: which is written, and how an older one is read as if it were that.

1   the first
2   has epochs[].step, and run.order, which stays unknown of a checkpoint of version 1
3   has the records of the epochs in arrays, and no longer in the JSON file
4   has the history in segments
"""

import math
from typing import Any

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from shared_bottom.checkpoint.manifest import CONFIG, Manifest
from shared_bottom.checkpoint.records import check_records, to_arrays
from spec.params import Params
from spec.results import Epoch

FORMAT = 4
"""The version that is written."""
UNCUT: dict[str, Any] = {"segment_length": 2**31 - 1, "segments": {}}
"""What a version before 4 would say of its segments: they are longer than any run, so there are none."""


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class ManifestWithRecords(Manifest):
    """The content of checkpoint.json of version 2."""

    epochs: list[Epoch]


def check_version(version: Any) -> None:
    """Raises ValueError if this is no version that can be read."""
    if type(version) is not int or not 1 <= version <= FORMAT:
        raise ValueError(f"expected format version 1 to {FORMAT}, got {version!r}")


def read_manifest(fields: dict[str, Any]) -> Manifest:
    """The content of a checkpoint.json of any version. Raises ValueError for what is no such content."""
    version = fields["format"]
    fields = from_version_1(fields) if version == 1 else fields
    fields = fields | UNCUT if version < 4 else fields
    return TypeAdapter(ManifestWithRecords if version < 3 else Manifest).validate_python(fields)


def record_arrays(manifest: Manifest) -> Params:
    """The arrays that a version before 3 has in its JSON file; none of a later one. Raises ValueError."""
    if not isinstance(manifest, ManifestWithRecords):
        return {}
    if len(manifest.epochs) != manifest.epoch:
        raise ValueError(f"epochs: expected {manifest.epoch} entries, got {len(manifest.epochs)}")
    check_records(manifest.run, manifest.epochs)
    return to_arrays(manifest.run, manifest.epochs)


def from_version_1(fields: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint.json of version 1 as version 2 has it. Raises ValueError for what is no such content.

    An epoch's last step follows from the number of rows, which the fingerprints know, and the batch size.
    """
    try:
        rows = next(iter(fields["run"]["data"].values()))["shape"][0]
        length = math.ceil(rows / fields["run"]["train"]["batch_size"])
        epochs = [entry | {"step": entry["epoch"] * length} for entry in fields["epochs"]]
    except (KeyError, TypeError, AttributeError, IndexError, StopIteration, ArithmeticError) as error:
        raise ValueError(f"expected the fields of format version 1, got {error!r}") from error
    return fields | {"epochs": epochs}
