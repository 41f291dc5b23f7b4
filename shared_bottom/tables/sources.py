"""Where rows come from: files, by their names, folders or patterns, or a table in memory."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from shared_bottom.tables.paths import IN_MEMORY, Name, files_of
from spec.table import TableSpec

if TYPE_CHECKING:
    from shared_bottom.tables.blocks import Block

Rows: TypeAlias = Any
"""A `Name`, a list of them, or a table in memory: a data frame of pandas or polars, a table, a batch or a reader of
pyarrow, anything else with the method __arrow_c_stream__, a dict of lists or of NumPy arrays by column, or a list of a
dict for each row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Rows that can be read block by block, as often as they are needed (a reader of pyarrow only once)."""

    name: str
    """What error messages call it."""
    files: tuple[Path, ...] = ()
    """In the order in which their rows come; of a table in memory, none."""
    folder: Path = Path()
    """What the names of files are relative to."""
    table: Any = None
    """A table in memory, of a kind that `Rows` names; None if there are files."""
    most: int | None = None
    """How many rows are read, from the first on; None: all."""

    def blocks(self, data: TableSpec, names: Sequence[str]) -> Iterator["Block"]:
        """The columns `names` of the rows, as blocks of consecutive rows, none of them empty.

        Raises ValueError, in one line that names the file or the table in memory, if it cannot be read or lacks a
        column.
        """
        left = math.inf if self.most is None else self.most
        for block in self._whole_blocks(data, names):
            yield block if block.rows <= left else block.filter(np.arange(block.rows) < left)
            left -= block.rows
            if left <= 0:
                return

    def _whole_blocks(self, data: TableSpec, names: Sequence[str]) -> Iterator["Block"]:
        # Here, because they import pyarrow, which a TOML does not need.
        from shared_bottom.tables.files import read_blocks
        from shared_bottom.tables.memory import memory_blocks

        if self.table is not None:
            yield from memory_blocks(data, self.table, names)
        for path in self.files:
            yield from read_blocks(data, path, names)


def source_of(rows: Rows, folder: Name = "") -> Source:
    """The source of rows that a user names.

    rows: the names of files, or a table in memory. A source is returned as it is.
    folder: the folder that the names are relative to.

    Raises ValueError if a folder has no files, or if no file matches a pattern.
    """
    if isinstance(rows, Source):
        return rows
    names = [rows] if isinstance(rows, str | os.PathLike) else rows
    if isinstance(names, list | tuple) and all(isinstance(name, str | os.PathLike) for name in names):
        files = tuple(path for name in names for path in files_of(Path(folder), os.fspath(name)))
        return Source(files=files, folder=Path(folder), name=", ".join(str(Path(folder, name)) for name in names))
    if rows is None:
        raise ValueError("rows: expected the names of files or a table in memory, got None")
    return Source(table=rows, name=IN_MEMORY)
