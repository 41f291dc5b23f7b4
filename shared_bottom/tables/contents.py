"""What a file is, by the bytes that it begins with: its name may say something else, or nothing."""

import codecs
from pathlib import Path
from typing import Literal

from spec.table import TableSpec

Format = Literal["csv", "parquet", "arrow"]

FORMATS: dict[bytes, tuple[Format, str]] = {
    b"PAR1": ("parquet", "a Parquet file"),
    b"ARROW1": ("arrow", "an Arrow file"),
}
"""The formats besides CSV that can be read, and their names."""

COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
"""What pyarrow can decompress, by pyarrow's names."""

OTHERS = {
    b"PARE": "an encrypted Parquet file",
    b"FEA1": "a file in the first version of Feather",
    b"\xff\xff\xff\xff": "an Arrow stream",
    b"\xfd7zXZ\x00": "a file that xz has compressed",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"SQLite format 3\x00": "an SQLite database",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
}
"""What cannot be read."""

ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""By byte-order mark; that of UTF-32 in little-endian order begins with that of UTF-16."""


def file_format(data: TableSpec, path: Path) -> Format:
    """The format of a file. Raises ValueError if it is another than `data.format` says, and OSError."""
    beginning = _beginning(path)
    for magic, (kind, name) in FORMATS.items():
        if beginning.startswith(magic):
            if data.format not in ("auto", kind):
                raise ValueError(f"{path}: expected a file in format {data.format!r}, as the table says, found {name}")
            return kind
    return "parquet" if data.format == "parquet" else "csv"


def compression(path: Path) -> str | None:
    """pyarrow's name of what a file is compressed with, or None. Raises OSError."""
    beginning = _beginning(path)
    return next((name for magic, name in COMPRESSIONS.items() if beginning.startswith(magic)), None)


def check_text(path: Path, codec: str | None, beginning: bytes) -> None:
    """Raises ValueError if a file's content is no text in UTF-8.

    path: the file.
    codec: what it is compressed with, if it is.
    beginning: the first bytes of the content, decompressed.
    """
    where = "" if codec is None else f" within {codec}"
    for magic, name in (OTHERS | {magic: name for magic, (_, name) in FORMATS.items()}).items():
        if beginning.startswith(magic):
            raise ValueError(f"{path}: expected a CSV or Parquet file, found {name}{where}")
    encoding = next((name for mark, name in ENCODINGS.items() if beginning.startswith(mark)), None)
    if encoding is None and len(beginning) >= 4 and any(beginning):
        # Without a mark: of a text mostly in ASCII, every second byte is 0 in UTF-16, and three of four in UTF-32.
        zeros = [beginning[i::4].count(0) * 4 > len(beginning) // 2 for i in range(4)]
        encoding = {1: None, 2: "UTF-16", 3: "UTF-32"}.get(sum(zeros))
    if encoding is not None:
        raise ValueError(f"{path}: expected a CSV file in UTF-8, found {encoding}{where}")


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(max(map(len, OTHERS)))
