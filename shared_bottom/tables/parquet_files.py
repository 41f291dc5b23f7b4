"""Reads Parquet files with pyarrow, in batches that keep within the memory that reading may use."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shared_bottom.tables.arrays import is_text
from shared_bottom.tables.checks import check_names
from spec.table import TableSpec

PARQUET_COPIES = 16
"""How many times its uncompressed size a Parquet row needs in memory, from being read until it is encoded."""

DICTIONARY_COPIES = 4
"""How many times its size a dictionary needs, which is read as a whole for all rows of a row group."""

USUAL_DICTIONARY = 2**21
"""Bytes that a dictionary may always have: twice as many as programs that write Parquet let it have by default."""

BATCH_ROWS = 65536
"""The largest number of rows in a batch. Larger batches are not faster."""

PAGE_HEADER = re.compile(rb"\x15[\x80-\xff]*[\x00-\x7f]\x15(?P<size>[\x80-\xff]*[\x00-\x7f])", re.DOTALL)
"""How the header of a page begins in Thrift's compact protocol: its type, and its uncompressed size in bytes."""


def parquet_batches(data: TableSpec, path: Path, names: Sequence[str]) -> Iterator[Any]:
    """The columns `names` of a Parquet file as pyarrow batches.

    The checksums of pages are verified where the file has them. Raises ValueError, naming the file, if it lacks a
    column, or if the dictionary of a column is too large for `data.memory_mb`; pyarrow's exceptions and OSError if the
    file is damaged. Damage in the file's metadata can also end the process, in pyarrow's C++ code.
    """
    schema = parquet.read_schema(path)
    check_names(path, names, schema.names)
    text_columns = [name for name in names if is_text(schema.field(name).type)]
    wanted, memory, batch_rows = frozenset(names), data.memory_mb * 2**20, BATCH_ROWS
    # Without a buffer_size, pyarrow reads the columns of a whole row group at once.
    options = {"read_dictionary": text_columns, "buffer_size": 2**16, "pre_buffer": False}
    with path.open("rb") as pages, parquet.ParquetFile(path, page_checksum_verification=True, **options) as file:
        for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
            group_bytes = 0
            for chunk in map(group.column, range(group.num_columns)):
                name = _column(chunk.path_in_schema, wanted)
                if name is not None:
                    group_bytes += chunk.total_uncompressed_size
                    _check_dictionary(path, name, _dictionary_bytes(pages, chunk), memory)
            row_bytes = group_bytes / max(group.num_rows, 1) + 8 * len(names)
            batch_rows = min(batch_rows, max(1, int(memory / PARQUET_COPIES / row_bytes)))
        for batch in file.iter_batches(batch_size=batch_rows, columns=list(names), use_threads=False):
            batch.validate(full=True)  # where a page has no checksum, damage may lead outside of the dictionary
            parts = -(-_decoded_bytes(batch) * PARQUET_COPIES // memory)
            part_rows = max(1, batch.num_rows // max(1, parts))
            for start in range(0, batch.num_rows, part_rows):
                yield batch.slice(start, part_rows).select(list(names))


def _decoded_bytes(batch: Any) -> int:
    """How many bytes the texts of a batch have once each row has its own."""
    decoded = 0
    for array in batch.columns:
        if pa.types.is_dictionary(array.type) and is_text(array.type.value_type):
            lengths = pc.fill_null(pc.binary_length(array.dictionary), 0).to_numpy(zero_copy_only=False)
            codes = array.indices.drop_null().to_numpy()
            decoded += int(np.bincount(codes, minlength=len(lengths)) @ lengths)
    return decoded


def _column(path: str, names: Collection[str]) -> str | None:
    """Which of `names` a path in the file's schema belongs to: that of a list's values may be items.list.element."""
    parts = path.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in names), None)


def _dictionary_bytes(pages: BinaryIO, chunk: Any) -> int:
    """The size of a column chunk's dictionary, uncompressed, which stands in the header of its page in the file."""
    if not chunk.has_dictionary_page:
        return 0
    pages.seek(chunk.dictionary_page_offset)
    header = PAGE_HEADER.match(pages.read(32))
    # Seven bits a byte, the lowest first; the lowest bit of all is the sign.
    return 0 if header is None else sum((byte & 127) << 7 * i for i, byte in enumerate(header["size"])) >> 1


def _check_dictionary(path: Path, name: str, size: int, memory: int) -> None:
    largest = max(memory // DICTIONARY_COPIES, USUAL_DICTIONARY)
    if size > largest:
        raise ValueError(
            f"{path}: column {name!r}: expected row groups whose dictionary has at most memory_mb / "
            f"{DICTIONARY_COPIES}, {largest} bytes, got one of {size} bytes"
        )
