"""Blocks of rows kept in a temporary file, so that a table's files are parsed once although its rows are needed twice.

The rows are needed first to learn from them, and then again to be encoded by what was learnt.
"""

import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from shared_bottom.tables.blocks import Block


class Spool:
    """Blocks of consecutive rows on disk, in the system's folder for temporary files, until the spool is closed.

    It is a context.

    texts: the columns whose texts are stored once in a block, each with an index for every row. Not for columns of
    numbers, which have no texts in common.
    """

    def __init__(self, texts: Collection[str]) -> None:
        self._texts = frozenset(texts)
        self._blocks: list[tuple[Block, int, int]] = []  # without columns; its first row's number, and its rows
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed with the spool

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def filled(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The same blocks, each kept as it passes. Raises OSError, naming the folder, if the disk is full."""
        for block in blocks:
            columns = {name: self._compact(name, array) for name, array in block.columns.items()}
            batch = pa.record_batch(columns)
            with _errors_name_the_folder(), pa.ipc.new_stream(self._file, batch.schema) as stream:
                stream.write_batch(batch)
            empty = replace(block, columns={}, row_numbers=np.empty(0, np.int64))
            self._blocks.append((empty, int(block.row_numbers[0]), block.rows))
            yield replace(block, columns=columns)

    def blocks(self) -> Iterator[Block]:
        """The blocks that have been kept, from the first on."""
        self._file.seek(0)
        for empty, first, rows in self._blocks:
            with pa.ipc.open_stream(self._file) as stream:
                batch = stream.read_next_batch()
                for _ in stream:  # to the end of this block
                    pass
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield replace(empty, columns=columns, row_numbers=np.arange(first, first + rows))

    def _compact(self, name: str, array: Any) -> Any:
        return array.dictionary_encode() if name in self._texts and pa.types.is_string(array.type) else array


@contextmanager
def _errors_name_the_folder() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error
