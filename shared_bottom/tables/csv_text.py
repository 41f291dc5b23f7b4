"""The text of a CSV file as its reader should get it: without what is no row, and in UTF-8 or not at all."""

import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from shared_bottom.tables.contents import check_text, compression
from spec.table import TableSpec

BUFFER = 2**16
"""How many bytes of a file are decompressed at a time, and looked at to say what its encoding is."""

LINE = re.compile(rb"[^\r\n]*(\r\n|\r|\n)")

EXCEL_DELIMITER = re.compile(rb'"?sep=.?"?', re.IGNORECASE)
"""The first line of a file by which Excel is told the delimiter."""

MARK, END_OF_FILE = "\ufeff".encode(), b"\x1a"
"""The byte-order mark of UTF-8, and the character that ended a text in DOS."""


class CsvText(io.RawIOBase):
    """The bytes of a CSV file from its header on, or from its first row if it has no header.

    Decompressed, without what is no row of the table: a byte-order mark, comments before the header, and a Ctrl-Z at
    the end. The last line has a newline. Raises ValueError if the text is not in UTF-8 or has a NUL byte.
    """

    def __init__(self, data: TableSpec, path: Path) -> None:
        self._path, self.skipped = path, 0
        """How many lines before the header are left out."""
        codec, file = compression(path), pa.OSFile(str(path))
        self._file = io.BufferedReader(file if codec is None else pa.CompressedInputStream(file, codec), BUFFER)
        check_text(path, codec, self._file.peek(BUFFER)[:BUFFER])
        self._pending, self._ended = self._file.read(BUFFER).removeprefix(MARK), False
        while (line := LINE.match(self._pending)) and self._is_no_row(data, line[0]):
            self.skipped += 1
            self._pending = self._pending[line.end() :] + self._file.read(line.end())
        self._lines = 1 + self.skipped

    def _is_no_row(self, data: TableSpec, line: bytes) -> bool:
        if data.comment is not None and line.startswith(data.comment.encode()):
            return True
        if data.comment is not None and not data.column_names and not line.strip():
            return True  # between the comments and the header
        return not self.skipped and EXCEL_DELIMITER.fullmatch(line.strip()) is not None

    def readable(self) -> bool:
        """True, as pyarrow asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Put the next bytes into the buffer, as many as it takes; the result is their number."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        while not self._ended and len(self._pending) <= size:
            more = self._file.read(size)
            self._pending += more
            if not more:
                self._ended, self._pending = True, self._pending.rstrip(END_OF_FILE)
                if self._pending and not self._pending.endswith((b"\n", b"\r")):
                    self._pending += b"\n"
        chunk, self._pending = self._pending[:size], self._pending[size:]
        if b"\0" in chunk:
            line = self._lines + chunk[: chunk.index(b"\0")].count(b"\n")
            raise ValueError(f"{self._path}: expected a CSV file in UTF-8, found a NUL byte in line {line}")
        self._lines += chunk.count(b"\n")
        return chunk

    def close(self) -> None:
        """Close the file, too."""
        self._file.close()
        super().close()
