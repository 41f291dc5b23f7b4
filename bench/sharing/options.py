"""The options of `python -m bench.sharing`, and the checks of their values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from spec import backend_names
from spec.sharing import WAYS

KINDS = tuple(way().kind for way in WAYS)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Train each task alone and all together, and say for each whether sharing helps, with what certainty."""

    file: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="FILE.toml|census")]]
    """A FILE.toml with [model], [train] and [data], or census, with --data-dir."""
    backend: Annotated[
        str | None,
        tyro.conf.arg(help=f"One of {', '.join(backend_names())}; if not given, the first of them that is installed."),
    ] = None
    ways: Annotated[
        str | None,
        tyro.conf.arg(
            help=f"The ways of sharing to compare, separated by commas: some of {', '.join(KINDS)}. The file's way "
            "keeps its options; others have their defaults. If not given, the file's way alone."
        ),
    ] = None
    seeds: int = 5
    """Seeds, from the file's own upwards; fewer than 2 give no interval, and so no verdict."""
    gradient_rows: int = 4096
    """Training rows, drawn at random, that the tasks' gradients are compared on."""
    threads: int = 1
    """Processor cores to use."""
    data_dir: Path | None = None
    """Folder with the Census-Income files, for census."""
    json: Path | None = None
    """Write all of it, every seed's values included, to this file: the schema is in bench/sharing/results.py."""
    plot: Path | None = None
    """Draw it to this file: .png or .svg."""


def check(options: Options) -> None:
    """Raises a ValueError that names the option, before anything is read."""
    # Imported here, so that `--help` does not wait for them.
    from shared_bottom.disk import check_output
    from spec.machine import check_threads

    names = backend_names()
    if options.backend is not None and options.backend not in names:
        raise ValueError(f"--backend: expected one of {', '.join(names)}, got {options.backend!r}")
    kinds(options.ways)
    for option, number in (("--seeds", options.seeds), ("--gradient-rows", options.gradient_rows)):
        if number < 1:
            raise ValueError(f"{option}: expected 1 or more, got {number}")
    check_threads(options.threads, "--threads")
    if options.file != "census" and not options.file.endswith(".toml"):
        raise ValueError(f"FILE: expected a FILE.toml or census, got {options.file!r}")
    if options.file == "census" and (options.data_dir is None or not options.data_dir.is_dir()):
        given = "none" if options.data_dir is None else repr(str(options.data_dir))
        raise ValueError(f"--data-dir: expected the folder of the Census-Income files with census, got {given}")
    if options.file != "census" and options.data_dir is not None:
        raise ValueError(f"--data-dir: expected none, only census reads it, got {str(options.data_dir)!r}")
    check_output("--json", options.json, [Path(options.file)])
    check_output("--plot", options.plot, [Path(options.file)])
    if options.plot and options.plot.suffix not in (".png", ".svg"):
        raise ValueError(f"--plot: expected a .png or .svg, got {str(options.plot)!r}")


def kinds(ways: str | None) -> list[str]:
    """The kinds of sharing that are named, none if nothing is. Raises ValueError."""
    words = [] if ways is None else ways.split(",")
    if not set(words) <= set(KINDS) or len(set(words)) < len(words):
        raise ValueError(f"--ways: expected different ones of {', '.join(KINDS)}, separated by commas, got {ways!r}")
    return words
