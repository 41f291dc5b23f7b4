"""The official files of Census-Income: where they come from, how they are checked, and the cache of what they contain.

Every file is checked by its SHA-256 before it is parsed. Parsing takes several seconds, so the arrays are stored in
`cache_folder()`, under a name that is computed from the files' content and the version of the parser.
"""

import gzip
import hashlib
import io
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spec.files import cache_folder

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/census-income-mld/"

OFFICIAL = {
    "census-income.data": "103874469 bytes, SHA-256 3676a81db7d3528f3f8b9f3c699d0f0aa28db45e6e994fa0b8ed38327539ee86",
    "census-income.test": "51918813 bytes, SHA-256 98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
}
"""The `fingerprint` of each official file's text, the training file first. It is that of the uncompressed text, because
the same text can be compressed to different gzip files."""


def fingerprint(content: bytes) -> str:
    """The length and the SHA-256 of a file's content, in words, as `OFFICIAL` and the error messages have them."""
    return f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"


def official_files(folder: Path | None) -> dict[str, Path]:
    """The path of each official file, by its name in `OFFICIAL`.

    folder: the folder that has the files, gzipped or not. If None, they are downloaded, unless the cache folder has
    them already.

    Raises FileNotFoundError if the folder lacks a file, OSError if a file cannot be downloaded, and ValueError if a
    downloaded file is not the official one. A file in `folder` is checked only when `official_text` reads it.
    """
    return {name: _download(name) if folder is None else _find(Path(folder), name) for name in OFFICIAL}


def official_text(path: Path, name: str) -> bytes:
    """The uncompressed text of a file.

    path: the file, gzipped or not.
    name: its name in `OFFICIAL`.

    Raises ValueError if the text is not the official one.
    """
    content = path.read_bytes()
    expected = f"{path}: expected a text of {OFFICIAL[name]}"
    try:
        # Whether a file is gzipped is decided by its content and not by its name: a server may declare .gz to be a
        # transfer encoding, and the download then decompresses the file but keeps the name.
        text = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{expected}, found a damaged gzip file of {fingerprint(content)} ({error})") from error
    if fingerprint(text) != OFFICIAL[name]:
        raise ValueError(f"{expected}, found {fingerprint(text)}")
    return text


def cached_arrays(
    files: dict[str, Path], parse: Callable[[dict[str, Path]], dict[str, np.ndarray]], parser_version: int
) -> dict[str, np.ndarray]:
    """The arrays that `parse` makes of the files, read from the cache if the same files were parsed before.

    files: the path of each official file, by its name.
    parse: the parser, which must check the files. It is called only if the cache does not have their arrays.
    parser_version: must be increased whenever the parser comes to make other arrays of the same files.

    A damaged cache is reported by a warning, and is replaced.
    """
    # The files are identified as they are on the disk: compressed they are a tenth as large as their text, and files
    # of which the cache has the arrays need not be decompressed.
    fingerprints = [fingerprint(path.read_bytes()) for path in files.values()]
    key = hashlib.sha256(repr((parser_version, fingerprints)).encode()).hexdigest()
    cache = cache_folder() / f"census-income-{key}.cache"
    if cache.exists():
        stored = cache.read_bytes()
        digest, content = stored[:32], stored[32:]
        if digest == hashlib.sha256(content).digest():
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return dict(arrays)
        warnings.warn(f"{cache}: expected the parsed arrays, found a damaged file; parsing again", stacklevel=3)
    parsed = parse(files)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **parsed)
    content = buffer.getvalue()
    cache.parent.mkdir(parents=True, exist_ok=True)
    # Written elsewhere and then renamed, so that no process ever reads a cache that is only half written.
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
        # The digest is needed although a zip file has checksums: these do not cover all of the zip file's directory.
        Path(folder, cache.name).write_bytes(hashlib.sha256(content).digest() + content)
        Path(folder, cache.name).replace(cache)
    return parsed


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder}: expected {name}.gz or {name}, a text of {OFFICIAL[name]}, found neither")


def _download(name: str) -> Path:
    import pooch  # here, because only the first run downloads, and later ones need not wait for this import

    path = cache_folder() / f"{name}.gz"
    if path.is_file():
        return path
    try:
        pooch.create(path=path.parent, base_url=URL, registry={path.name: None}).fetch(path.name)
    except OSError as error:
        raise OSError(f"{URL}{path.name}: expected a file to download into {path.parent}, got {error}") from error
    try:
        official_text(path, name)
    except ValueError:
        path.unlink()  # so that the next run downloads it again
        raise
    return path
