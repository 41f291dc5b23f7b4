"""The key of encoded rows: the SHA-256 of all that decides what the rows of files become."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from shared_bottom.tables.inherited import Inherited
from spec.table import TableExperiment, TableSpec

VERSION = 1
"""Increased whenever the same rows come to be encoded otherwise, or other things to be learnt or warned of, so that no
earlier entry is read."""
FREE = {
    "": ("train", "validation", "test"),
    "categorical": ("dimension", "pooling", "embeddings"),
    "time": ("dimension",),
}
"""The fields of a table, and of its columns, that do not decide what its rows become. Where they name files, the files
do: the key has the state of those of rows, and the values of given embeddings."""

FileState = tuple[str, int, int, int]
"""A file's absolute path, its size in bytes, and when it was modified and changed, in ns; the size is -1 where there is
none. A copy may keep the time of modification of what it is a copy of, but no program can set the time of change.

Changes within one tick of the file system's clock have the same times. On ext4, XFS, Btrfs and tmpfs it ticks every 1
to 10 ms, and from Linux 6.13 on as often as somebody looks; on FAT, every 2 s. So a file that is written again, with as
many bytes, in the tick in which it was read is taken for what it was. Keeping no rows of files so young would help, but
it would also keep none of tables that are encoded as soon as they are written."""


def state_of(path: Path) -> FileState:
    """What tells whether a file is the same as before. Raises OSError."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return str(path.absolute()), -1, 0, 0
    return str(path.absolute()), state.st_size, state.st_mtime_ns, state.st_ctime_ns


def key_of(
    experiment: TableExperiment,
    files: Sequence[Sequence[FileState]],
    given: Mapping[str, Sequence[str]],
    inherited: Inherited,
) -> str:
    """The name of the entry of an experiment's rows.

    files: those of the training rows, and those of the validation rows.
    given: the values of given embeddings by the name of the embedding table.
    inherited: what is taken over of an earlier run's columns.
    """
    data, train = experiment.data, experiment.train
    described: dict[str, Any] = TypeAdapter(TableSpec).dump_python(data, mode="json")
    for field, names in FREE.items():
        for part in described[field] if field else [described]:
            for name in names:
                del part[name]
    decisive = {
        "versions": [VERSION, np.__version__, pa.__version__],
        "data": described,
        "tasks": [(task.name, task.kind, task.outputs, task.objective.non_negative) for task in experiment.model.tasks],
        "seed": train.seed if data.validation_fraction else None,
        "files": files,
        "given": given,
        "inherited": TypeAdapter(Inherited).dump_python(inherited, mode="json"),
    }
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
