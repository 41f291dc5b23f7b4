"""The command export: writes a trained network into a file that other programs read."""

from typing import TYPE_CHECKING

from shared_bottom.cli.options import Export
from shared_bottom.cli.printing import print_written
from shared_bottom.disk import check_output, keeping, write_whole
from shared_bottom.export import export_onnx
from shared_bottom.folder import READ_AGAIN, read_trained
from shared_bottom.trained import choose_backend
from spec.backend import backend_names
from spec.validation import did_you_mean

if TYPE_CHECKING:
    from backends.base import SharedBackend

ONNX = "onnx"
"""The format that no backend writes, since it takes columns and not only the network."""


def export(options: Export) -> None:
    """Write the network of a run: with its columns as ONNX, or by the backend that writes the format."""
    if options.format == ONNX and options.backend is not None:
        raise ValueError(f"--backend: expected none for format {ONNX}, got {options.backend!r}")
    backend = None if options.format == ONNX else _writer(options.format, options.backend)
    suffix = backend.export_suffix if backend else f".{ONNX}"
    if options.out.suffix != suffix:
        raise ValueError(f"--out: expected a file {suffix} for format {options.format}, got {str(options.out)!r}")
    check_output("--out", options.out, map(options.folder.joinpath, READ_AGAIN))
    trained = read_trained(options.folder)
    with keeping("nothing was written, and an earlier file is as it was"):
        if backend:
            write_whole(options.out, backend.export(trained.model, trained.params))
        else:
            export_onnx(trained, options.out)
    print_written(options.out)


def _writer(wanted: str, name: str | None) -> "SharedBackend":
    """The backend that writes files of a format; the one of this name, if it is given.

    Raises ValueError if none that is installed does, and ImportError if the named one is not installed.
    """
    if meant := did_you_mean(wanted, [ONNX]):  # before a framework is imported
        raise ValueError(f"--format: expected a format, got {wanted!r}{meant}")
    formats, missing = [] if name else [ONNX], []
    for candidate in backend_names() if name is None else [name]:
        try:
            backend = choose_backend(candidate)
        except ImportError as error:
            if name is not None:
                raise
            missing.append(str(error))
            continue
        if backend.export_format == wanted:
            return backend
        formats += [backend.export_format] if backend.export_format else []
    of_backend = "" if name is None else f" of backend {name}"
    lacking = "".join(f"; {message}" for message in missing)
    meant = did_you_mean(wanted, formats)
    raise ValueError(f"--format: expected one of {', '.join(formats)}{of_backend}, got {wanted!r}{meant}{lacking}")
