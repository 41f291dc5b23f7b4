"""Trained networks as ONNX files, which take raw columns and give predictions in the units of the labels.

The graph is written from the columns, the spec and the parameters alone. No framework takes part in it.
"""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from shared_bottom.export.packages import needing
from spec.validation import check_class

if TYPE_CHECKING:
    from shared_bottom.trained import Trained


def export_onnx(trained: "Trained", path: str | Path) -> None:
    """Write a trained network with its columns into an ONNX file, whole or not at all.

    trained: the network.
    path: the file. One that is there is replaced.

    The file's graph has an input for each column (see `shared_bottom.export.inputs`), an output for each column that
    `Trained.predict` gives, and describes both in its metadata. Raises ImportError if onnx is not installed, ValueError
    if an argument is something else or the parameters are more than an ONNX file can hold, and OSError if the file
    cannot be written.
    """
    with needing("onnx"):
        from shared_bottom.export.file import write
    from shared_bottom.trained import Trained

    check_class("trained", trained, Trained, "load returns it")
    if not isinstance(path, str | PathLike):
        raise ValueError(f"path: expected the name of a file, got {path!r:.200}")
    write(Path(path), trained.columns, trained.spec, trained.params)
