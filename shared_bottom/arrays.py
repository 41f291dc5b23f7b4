"""Named arrays as a safetensors file, written and read without a second copy of them.

They are written here and not by the library, since its `save` copies all of them twice, and its `save_file` gives the
file another mode than the process asks for and hides the number of an error of the disk. Reading, which has to expect
anything, is the library's. It ends the whole process if it gets too little memory. So the memory is asked for here
first, where a lack of it is a MemoryError.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from spec.params import Params
from spec.reading import check_file
from spec.validation import one_line

KINDS = {"float32": "F32", "float64": "F64"}
"""The types of arrays, and what the format calls them."""
MARGIN = 2**24
"""Bytes that the library may need besides those of the arrays."""
PIECE = 2**20
"""Numbers that are looked at together, so that what is computed of each takes little memory."""


def content(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """What a safetensors file of the arrays (float32 or float64) consists of, for `write_flushed`: header and numbers.

    Only an array that does not lie in C order is copied, one at a time. The bytes are those that the library writes.
    """
    header: dict[str, Any] = {}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # so each begins at a multiple of its size
    stop = 0
    for name in names:
        array, start, stop = arrays[name], stop, stop + arrays[name].nbytes
        header[name] = {"dtype": KINDS[array.dtype.name], "shape": array.shape, "data_offsets": (start, stop)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        yield np.asarray(arrays[name], arrays[name].dtype.newbyteorder("<"), order="C").reshape(-1).data


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError, and ValueError for what is no file."""
    check_file(path)
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def read(path: Path) -> Params:
    """The arrays of a safetensors file, by name. Raises ValueError in one line for another file, OSError, MemoryError.

    The file must not be a device.
    """
    np.empty(path.stat().st_size + MARGIN, np.uint8)  # given back at once
    try:
        with safe_open(path, "numpy", backend="pread") as file:  # a memory map would be counted as memory, too
            for name in file.keys():  # noqa: SIM118
                if (kind := file.get_slice(name).get_dtype()) not in KINDS.values():
                    raise ValueError(f"expected arrays of float32 or float64, got {kind}")
            return dict(file.get_tensors())
    except SafetensorError as error:
        raise ValueError(f"expected the safetensors format, got {one_line(error)}") from error


def pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """The numbers of an array in flat pieces, views where it is contiguous."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE]


def all_finite(*arrays: np.ndarray) -> bool:
    """Whether no number is NaN or infinite."""
    return all(bool(np.isfinite(piece).all()) for array in arrays for piece in pieces(array))
