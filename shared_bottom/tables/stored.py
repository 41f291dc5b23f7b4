"""Encoded rows in a folder of files, which training reads as memory maps: as many as the disk has room for.

    training.0, …, validation.0, …   the bytes of an array each, in C order
    columns.json                     what was learnt from the training rows
    entry.json                       what the other files are: see `Entry`
    sha256                           the SHA-256 of all files but itself, as `sha256sum` writes and checks it

The checksum of an array's file is that of the array's bytes, by which a run that is resumed knows its rows again. As a
file is compared with its checksum before it is used, none has to be flushed to the disk.
"""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from shared_bottom.tables.columns import FittedColumns
from shared_bottom.tables.joined import dataset_of
from spec.data import Dataset
from spec.files import from_json, to_json
from spec.validation import STRICT, Many

COLUMNS, ENTRY, SUMS = "columns.json", "entry.json", "sha256"
Part = Literal["training", "validation"]
"""A data set."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StoredArray:
    """An array in a file."""

    file: str
    dtype: str
    """As NumPy writes it, byte order included: <f8."""
    shape: Annotated[tuple[int, ...], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Entry:
    """What the files of the folder are."""

    tables: Many[str]
    """The files that the rows came from, those of the training rows first."""
    warnings: Many[str]
    """What a reader must know of the rows, a line each."""
    arrays: dict[Part, dict[str, StoredArray]]
    """By data set, and by the name that the array has in `Dataset.arrays`."""

    def rows(self, part: Part) -> int:
        """How many rows a data set has; 0 if there is none."""
        return next((array.shape[0] for array in self.arrays.get(part, {}).values()), 0)


class Stored(NamedTuple):
    """What the folder has."""

    entry: Entry
    columns: FittedColumns
    """What was learnt from the training rows."""
    parts: dict[Part, Dataset]
    """The data sets, whose arrays are memory maps."""


class StoredRows:
    """The folder while it is written: a context, at whose end all files are closed. Each method raises OSError.

    folder: a folder that is there and empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: dict[Part, StoredPart] = {}
        self._open = ExitStack()

    def __enter__(self) -> "StoredRows":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def part(self, part: Part) -> "StoredPart":
        """A data set, to be filled."""
        self._parts[part] = StoredPart(self._folder, part, self._open)
        return self._parts[part]

    def finish(self, columns: FittedColumns, tables: Sequence[str], warnings: Sequence[str]) -> None:
        """Write what is not an array. The arguments are as in `Entry`."""
        files = [file for part in self._parts.values() for file in part.files.values()]
        arrays = {name: {key: file.stored for key, file in part.files.items()} for name, part in self._parts.items()}
        entry = Entry(tables=tuple(tables), warnings=tuple(warnings), arrays=arrays)
        sums = {file.stored.file: file.sha256 for file in files}
        for name, content in ((COLUMNS, to_json(columns).encode()), (ENTRY, to_json(entry).encode())):
            (self._folder / name).write_bytes(content)
            sums[name] = hashlib.sha256(content).hexdigest()
        (self._folder / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), "ascii")


class StoredPart:
    """A data set whose arrays are written to files as its batches come: a `shared_bottom.tables.joined.Whole`."""

    def __init__(self, folder: Path, part: Part, opened: ExitStack) -> None:
        self._folder, self._part, self._open = folder, part, opened
        self.files: dict[str, ArrayFile] = {}
        """By the name that the array has in `Dataset.arrays`."""

    def add(self, batch: Dataset) -> None:
        """See `Whole`. Raises OSError."""
        for name, array in batch.arrays.items():
            if name not in self.files:
                file = ArrayFile(self._folder / f"{self._part}.{len(self.files)}", array)
                self.files[name] = self._open.enter_context(file)
            self.files[name].append(array)

    def dataset(self) -> Dataset:
        """See `Whole`. The rows are those of the files, even if the folder is removed. Raises OSError."""
        for file in self.files.values():
            file.flush()
        return mapped(self._folder, {name: file.stored for name, file in self.files.items()}).hashed(
            {name: file.sha256 for name, file in self.files.items()}
        )


class ArrayFile:
    """A file that grows by the rows of arrays: a context, at whose end it is closed.

    path: the file, which is not there yet.
    first: an array of the type and, but for the number of rows, the shape that all have.
    """

    def __init__(self, path: Path, first: np.ndarray) -> None:
        self._path, self._dtype, self._row, self._rows = path, first.dtype, first.shape[1:], 0
        self._file = path.open("xb")
        self._hash = hashlib.sha256()
        self.flush = self._file.flush

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, rows: np.ndarray) -> None:
        """Write further rows. Raises OSError."""
        content = np.ascontiguousarray(rows, self._dtype).data
        self._file.write(content)
        self._hash.update(content)
        self._rows += len(rows)

    @property
    def stored(self) -> StoredArray:
        """What has been written."""
        return StoredArray(file=self._path.name, dtype=self._dtype.str, shape=(self._rows, *self._row))

    @property
    def sha256(self) -> str:
        """Of what has been written."""
        return self._hash.hexdigest()


def read_stored(folder: Path) -> Stored:
    """What `StoredRows` wrote.

    Raises ValueError in one line if a file is not as it was written, and OSError if one is missing.
    """
    lines = (folder / SUMS).read_text("ascii").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sums:
        with (folder / name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sums[name]:
                raise ValueError(f"{folder / name}: expected the SHA-256 in {SUMS}, got another")
    entry = from_json(Entry, (folder / ENTRY).read_text("utf-8"))
    files = {array.file for arrays in entry.arrays.values() for array in arrays.values()} | {COLUMNS, ENTRY}
    if files != sums.keys():
        raise ValueError(f"{folder / SUMS}: expected the SHA-256 of {sorted(files)}, got that of {sorted(sums)}")
    parts = {
        part: mapped(folder, arrays).hashed({name: sums[array.file] for name, array in arrays.items()})
        for part, arrays in entry.arrays.items()
    }
    return Stored(entry, from_json(FittedColumns, (folder / COLUMNS).read_text("utf-8")), parts)


def mapped(folder: Path, arrays: dict[str, StoredArray]) -> Dataset:
    """A data set of arrays in files, which are read where and when they are needed. Raises OSError."""
    return dataset_of(
        {
            name: np.memmap(folder / array.file, np.dtype(array.dtype), "r", shape=array.shape)
            for name, array in arrays.items()
        }
    )
