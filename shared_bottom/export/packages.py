"""The packages of the extra `onnx`, which only exporting and exported files need."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needing(package: str) -> Iterator[None]:
    """A block that imports a package; that it is not installed is said with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != package:
            raise
        command = "pip install -e '.[onnx]'"
        raise ImportError(f"ONNX files need {package}, which is not installed: {command}", name=package) from error
