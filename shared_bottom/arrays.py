"""Named arrays as the bytes of a safetensors file, and back.

The library ends the whole process if it finds too little memory. So the memory is asked for here first, where a lack of
it is a MemoryError.
"""

from collections.abc import Mapping

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from spec.params import Params
from spec.validation import one_line

MARGIN = 2**24
"""Bytes that the library may need besides those of the arrays."""


def to_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The arrays in the safetensors format. Raises MemoryError."""
    _reserve(2 * sum(array.nbytes for array in arrays.values()))
    return safetensors.save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def from_bytes(content: bytes) -> Params:
    """The arrays by name. Raises ValueError in one line for other content, and MemoryError."""
    _reserve(2 * len(content))
    try:
        return {name: array.copy() for name, array in safetensors.load(content).items()}
    except KeyError as error:  # the library looks a type up among NumPy's
        raise ValueError(f"expected arrays of float32 or float64, got {error.args[0]}") from error
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"expected the safetensors format, got {one_line(error)}") from error


def _reserve(size: int) -> None:
    """Raises MemoryError if the process cannot get so many bytes. They are given back at once."""
    np.empty(size + MARGIN, np.uint8)
